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
    /// When it was published.
    pub at: Moment,
    /// Its subject and its text.
    pub text: String,
}

/// SNS's envelope around a message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    subject: Option<String>,
    message: String,
    timestamp: String,
}

/// Takes all pages that are waiting.
pub async fn take(owner: &Owner, queue: &str) -> Result<Vec<Page>, Error> {
    let mut pages = Vec::new();
    loop {
        let with = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
        let answer = owner.call("sqs", "receive_message", with).await?;
        let messages = list(&answer, "/Messages");
        if messages.is_empty() {
            return Ok(pages);
        }
        for message in messages {
            pages.push(page(&text(message, "/Body")?)?);
            let with = json!({"QueueUrl": queue, "ReceiptHandle": text(message, "/ReceiptHandle")?});
            owner.call("sqs", "delete_message", with).await?;
        }
    }
}

/// Reads one envelope. The subject stands above the text unless the text begins with it.
fn page(envelope: &str) -> Result<Page, Error> {
    let envelope: Envelope = serde_json::from_str(envelope).map_err(cannot("read a page"))?;
    let text = match envelope.subject {
        Some(subject) if !envelope.message.starts_with(&subject) => format!("{subject}\n{}", envelope.message),
        _ => envelope.message,
    };
    let time: jiff::Timestamp = envelope.timestamp.parse().map_err(cannot("read a page's time"))?;
    let at = u64::try_from(time.as_microsecond()).map_err(cannot("read a page's time"))?;
    Ok(Page { at: Moment(at), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_subject_and_its_text() -> Result<(), Error> {
        let envelope = |subject: &str| {
            json!({"Subject": subject, "Message": "P1 orders: writer moved\nSeen x", "Timestamp": "1970-01-01T00:00:02.500Z"})
                .to_string()
        };
        let expected = |text: &str| Page { at: Moment(2_500_000), text: text.to_owned() };
        assert_eq!(page(&envelope("P1 orders: writer moved"))?, expected("P1 orders: writer moved\nSeen x"));
        assert_eq!(page(&envelope("Understudy"))?, expected("Understudy\nP1 orders: writer moved\nSeen x"));
        assert!(page("not JSON").is_err());
        Ok(())
    }
}
