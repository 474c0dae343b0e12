//! Pages to the person on call.

use crate::{
    SdkConfig,
    failure::{Subject, classify},
};
use reconcile::Failure;

/// SNS refuses a longer subject, and one that is not ASCII.
const LONGEST_SUBJECT: usize = 100;

/// SNS refuses a longer message, in bytes.
const LONGEST_TEXT: usize = 256 * 1024;

/// The SNS calls the fleet makes.
#[derive(Debug, Clone)]
pub struct Sns(aws_sdk_sns::Client);

impl Sns {
    /// Uses these credentials and time-outs.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Sns(aws_sdk_sns::Client::new(config))
    }

    /// Publishes a page. The subject is made to fit SNS's limits: 100 printable
    /// ASCII characters, anything else replaced by `?`; the text is cut at 256 KiB.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `sns:Publish`.
    pub async fn publish(&self, topic_arn: &str, subject: &str, text: &str) -> Result<(), Failure> {
        let request = self.0.publish().topic_arn(topic_arn).message(cut(text));
        let request = match fit(subject) {
            subject if subject.is_empty() => request,
            subject => request.subject(subject),
        };
        let what = format!("topic {topic_arn}");
        let subject = Subject { what: &what, check: "is PAGES_TOPIC_ARN of this function right?" };
        request.send().await.map_err(|error| classify("sns:Publish", subject, error))?;
        Ok(())
    }
}

fn fit(subject: &str) -> String {
    let printable = |letter: char| if (' '..='~').contains(&letter) { letter } else { '?' };
    // SNS also refuses a subject that does not begin with a visible character.
    subject.trim().chars().take(LONGEST_SUBJECT).map(printable).collect()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::replay::answer;

    const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:lab-pages";
    const DONE: &str = "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";

    async fn sent(subject: &str, text: &str) -> Vec<(String, String)> {
        let (config, replay) = answer(200, DONE);
        Sns::new(&config).publish(TOPIC, subject, text).await.unwrap();
        replay.only().form()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[tokio::test]
    async fn a_page_carries_subject_and_text() {
        let expected = [
            pair("Action", "Publish"),
            pair("TopicArn", TOPIC),
            pair("Message", "Seen  i-0a1\nDone  é"),
            pair("Subject", "P1 orders: writer moved"),
        ];
        assert_eq!(sent("P1 orders: writer moved", "Seen  i-0a1\nDone  é").await, expected);
    }

    #[tokio::test]
    async fn a_subject_that_sns_would_refuse_is_made_to_fit() {
        let long = format!(" é\n{}", "x".repeat(200));
        let subject = sent(&long, "text").await.pop().unwrap().1;
        assert_eq!(subject, format!("??{}", "x".repeat(98)));
        assert!(sent("  ", "text").await.iter().all(|(name, _)| name != "Subject"));
    }

    #[test]
    fn a_text_is_cut_between_letters() {
        let text = "é".repeat(LONGEST_TEXT / 2) + "x";
        assert_eq!(cut(&text).len(), LONGEST_TEXT);
        let text = format!("x{}", "é".repeat(LONGEST_TEXT / 2));
        assert_eq!(cut(&text).len(), LONGEST_TEXT - 1);
        assert_eq!(cut("short"), "short");
    }

    #[tokio::test]
    async fn a_missing_topic_is_broken_and_names_it() {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code>\
             <Message>Topic does not exist</Message></Error></ErrorResponse>";
        let (config, _) = answer(404, body);
        let failure = Sns::new(&config).publish(TOPIC, "s", "t").await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "sns:Publish cannot succeed: topic {TOPIC} does not exist (NotFound: Topic does not exist \
                 (request r-1)); is PAGES_TOPIC_ARN of this function right?"
            )
        );
    }
}
