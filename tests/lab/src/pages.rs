//! The pages as the person on call gets them.

use crate::{
    clock::Moment,
    error::{Error, cannot},
    owner::{Owner, list, text},
};
use serde::Deserialize;
use serde_json::json;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// When the queue got it: the local SNS writes whole seconds into its envelope.
    pub at: Moment,
    /// Its subject and its text.
    pub text: String,
}

impl Page {
    /// Its first line.
    pub fn subject(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// SNS's envelope around a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    subject: Option<String>,
    message: String,
}

/// Takes all pages that are waiting.
pub async fn take(owner: &Owner, queue: &str) -> Result<Vec<Page>, Error> {
    let mut pages = Vec::new();
    loop {
        let with = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0, "AttributeNames": ["SentTimestamp"]});
        let answer = owner.call("sqs", "receive_message", with).await?;
        let messages = list(&answer, "/Messages");
        if messages.is_empty() {
            return Ok(pages);
        }
        for message in messages {
            pages.push(page(&text(message, "/Body")?, &text(message, "/Attributes/SentTimestamp")?)?);
            let with = json!({"QueueUrl": queue, "ReceiptHandle": text(message, "/ReceiptHandle")?});
            owner.call("sqs", "delete_message", with).await?;
        }
    }
}

/// Reads one envelope that was sent at a time in milliseconds since 1970. The subject stands above the text unless the text begins with it.
fn page(envelope: &str, sent_ms: &str) -> Result<Page, Error> {
    let envelope: Envelope = serde_json::from_str(envelope).map_err(cannot("read a page"))?;
    let text = match envelope.subject {
        Some(subject) if !envelope.message.starts_with(&subject) => format!("{subject}\n{}", envelope.message),
        _ => envelope.message,
    };
    let sent_ms = sent_ms.parse().map_err(cannot("read a page's time"))?;
    Ok(Page { at: Moment::from_ms(sent_ms), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_subject_and_its_text() -> Result<(), Error> {
        let envelope =
            |subject: &str| json!({"Subject": subject, "Message": "P1 orders: writer moved\nSeen x"}).to_string();
        let expected = |text: &str| Page { at: Moment(2_500_000), text: text.to_owned() };
        assert_eq!(page(&envelope("P1 orders: writer moved"), "2500")?, expected("P1 orders: writer moved\nSeen x"));
        assert_eq!(page(&envelope("Understudy"), "2500")?, expected("Understudy\nP1 orders: writer moved\nSeen x"));
        assert!(page("not JSON", "2500").is_err());
        assert!(page(&envelope("Understudy"), "soon").is_err());
        Ok(())
    }
}
