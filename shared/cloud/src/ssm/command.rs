//! Run Command: one script on one member.

use super::Ssm;
use crate::failure::{Subject, answer, classify};
use aws_sdk_ssm::{
    config::{Builder, retry::RetryConfig},
    operation::get_command_invocation::GetCommandInvocationOutput,
    types::CommandInvocationStatus,
};
use domain::rejoin::{CommandSeen, Order, Sent};
use reconcile::Failure;

const SEND: &str = "ssm:SendCommand";
const FIND: &str = "ssm:ListCommandInvocations";
const GET: &str = "ssm:GetCommandInvocation";

/// The document that runs a shell script, as root.
const DOCUMENT: &str = "AWS-RunShellScript";

/// An agent that has not fetched the command after this many seconds never
/// gets it: the next try looks anew whether it is wanted.
const DELIVERY_S: i32 = 300;

/// A copy of all data may take hours; one that takes longer than this is ended.
const EXECUTION_S: &str = "43200";

/// What SSM lists at most in one page.
const PAGE: i32 = 50;

impl Ssm {
    /// Sends the script to one member, at most once: it is not repeated by the
    /// SDK, since SSM takes no token by which it could tell a repetition.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:SendCommand`; after a [`Failure::Transient`] it may
    /// have been sent all the same.
    pub async fn send_command(&self, instance: &str, order: &Order) -> Result<Sent, Failure> {
        let request = self
            .0
            .send_command()
            .document_name(DOCUMENT)
            .instance_ids(instance)
            .comment(&order.comment)
            .timeout_seconds(DELIVERY_S)
            .parameters("commands", vec![order.script.to_owned()])
            .parameters("executionTimeout", vec![EXECUTION_S.to_owned()]);
        let once = Builder::new().retry_config(RetryConfig::disabled());
        match request.customize().config_override(once).send().await {
            Ok(output) => match output.command.and_then(|command| command.command_id) {
                Some(id) => Ok(Sent::Command(id)),
                None => Err(Failure::Transient { call: SEND, source: "the answer has no command id".into() }),
            },
            Err(error) if error.as_service_error().is_some_and(|error| error.is_invalid_instance_id()) => {
                Ok(Sent::NoAgent(
                    answer(&error).map_or_else(|| "InvalidInstanceId".to_owned(), |answer| answer.to_string()),
                ))
            }
            Err(error) => Err(classify(SEND, subject(&what(instance)), error)),
        }
    }

    /// The command of this order, if it was sent.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:ListCommandInvocations`.
    pub async fn find_command(&self, instance: &str, order: &Order) -> Result<Option<String>, Failure> {
        let mut pages =
            self.0.list_command_invocations().instance_id(instance).max_results(PAGE).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(FIND, subject(&what(instance)), error))?;
            let same = page.command_invocations().iter().find(|found| found.comment() == Some(&*order.comment));
            if let Some(found) = same {
                return Ok(found.command_id.clone());
            }
        }
        Ok(None)
    }

    /// How far a command is on an instance.
    ///
    /// # Errors
    ///
    /// [`Failure`] of `ssm:GetCommandInvocation`.
    pub async fn command(&self, instance: &str, command: &str) -> Result<CommandSeen, Failure> {
        match self.0.get_command_invocation().command_id(command).instance_id(instance).send().await {
            Ok(output) => Ok(seen(&output)),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_invocation_does_not_exist()) => {
                Ok(CommandSeen::Unknown)
            }
            Err(error) => Err(classify(GET, subject(&what(instance)), error)),
        }
    }
}

fn seen(output: &GetCommandInvocationOutput) -> CommandSeen {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let status = output.status().map_or("", CommandInvocationStatus::as_str);
    match output.status() {
        Some(CommandInvocationStatus::Success) => CommandSeen::Succeeded(text(output.standard_output_content())),
        Some(
            CommandInvocationStatus::Failed | CommandInvocationStatus::TimedOut | CommandInvocationStatus::Cancelled,
        ) => CommandSeen::Failed {
            // `Undeliverable` and `DeliveryTimedOut` say more than `Failed`.
            status: output.status_details().filter(|details| !details.is_empty()).unwrap_or(status).to_owned(),
            stderr: text(output.standard_error_content()),
        },
        // `Cancelling` too: it has not ended.
        _ => CommandSeen::Running(status.to_owned()),
    }
}

fn what(instance: &str) -> String {
    format!("commands on {instance}")
}

fn subject(what: &str) -> Subject<'_> {
    Subject { what, check: "is it an instance of this fleet, in this Region?" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests {
    use super::*;
    use crate::{
        SdkConfig,
        replay::{Replay, Reply, answer, json_error, kind, script},
    };
    use serde_json::{Value, json};

    fn order() -> Order {
        Order { comment: "Understudy rejoin, epoch 7, attempt 1".to_owned(), script: domain::rejoin::SCRIPT }
    }

    fn ssm(config: &SdkConfig) -> Ssm {
        Ssm::new(config)
    }

    async fn send(replies: impl IntoIterator<Item = Reply>) -> (Result<Sent, Failure>, Replay) {
        let (config, replay) = script(replies);
        (ssm(&config).send_command("i-0a1", &order()).await, replay)
    }

    #[tokio::test]
    async fn a_command_is_sent_once() {
        let sent = json!({ "Command": { "CommandId": "c-1" } }).to_string();
        let (sent, replay) = send([Reply::Http(200, sent)]).await;
        assert_eq!(sent.unwrap(), Sent::Command("c-1".to_owned()));
        let expected = json!({
            "DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-0a1"], "TimeoutSeconds": 300,
            "Comment": "Understudy rejoin, epoch 7, attempt 1",
            "Parameters": { "commands": ["bash /opt/understudy/rejoin.sh"], "executionTimeout": ["43200"] },
        });
        assert_eq!(replay.only().json(), expected);
        // Never twice, whatever was answered.
        for reply in [Reply::Broken, Reply::Silence, Reply::Http(500, json_error("InternalServerError", "x"))] {
            let (sent, replay) = send([reply]).await;
            assert_eq!(kind(&sent.unwrap_err()), "transient");
            replay.only();
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there_is_no_failure() {
        let (sent, _) = send([Reply::Http(400, json_error("InvalidInstanceId", "not in valid state"))]).await;
        assert!(matches!(&sent, Ok(Sent::NoAgent(why)) if why.contains("not in valid state")), "{sent:?}");
        let (sent, _) = send([Reply::Http(400, json_error("AccessDeniedException", "not authorized"))]).await;
        assert_eq!(kind(&sent.unwrap_err()), "broken");
    }

    #[tokio::test]
    async fn a_command_is_found_by_its_comment_on_any_page() {
        let page = |comment: &str, next: Option<&str>| {
            let found = json!([{ "CommandId": format!("c-{comment}"), "InstanceId": "i-0a1", "Comment": comment }]);
            Reply::Http(200, json!({ "CommandInvocations": found, "NextToken": next }).to_string())
        };
        let (config, replay) = script([page("other", Some("t")), page(&order().comment, Some("u"))]);
        let found = ssm(&config).find_command("i-0a1", &order()).await.unwrap();
        assert_eq!(found, Some(format!("c-{}", order().comment)));
        assert_eq!(replay.asked()[0].json(), json!({ "InstanceId": "i-0a1", "MaxResults": 50 }));
        let (config, _) = script([page("other", None)]);
        assert_eq!(ssm(&config).find_command("i-0a1", &order()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn how_far_a_command_is() {
        let failed = |status: &str| CommandSeen::Failed { status: status.to_owned(), stderr: "why".to_owned() };
        let running = |status: &str| CommandSeen::Running(status.to_owned());
        let table = [
            ("Pending", "Pending", running("Pending")),
            ("InProgress", "InProgress", running("InProgress")),
            ("Delayed", "Delayed", running("Delayed")),
            ("Cancelling", "Cancelling", running("Cancelling")),
            ("Success", "Success", CommandSeen::Succeeded("out".to_owned())),
            ("Failed", "Failed", failed("Failed")),
            ("Failed", "Undeliverable", failed("Undeliverable")),
            ("TimedOut", "DeliveryTimedOut", failed("DeliveryTimedOut")),
            ("Cancelled", "", failed("Cancelled")),
            ("SomethingNew", "", running("SomethingNew")),
        ];
        for (status, details, expected) in table {
            let said: Value = json!({
                "Status": status, "StatusDetails": details,
                "StandardOutputContent": "out", "StandardErrorContent": "why",
            });
            let (config, replay) = answer(200, said.to_string());
            assert_eq!(ssm(&config).command("i-0a1", "c-1").await.unwrap(), expected, "{status}");
            assert_eq!(replay.only().json(), json!({ "CommandId": "c-1", "InstanceId": "i-0a1" }));
        }
        let (config, _) = answer(400, json_error("InvocationDoesNotExist", "x"));
        assert_eq!(ssm(&config).command("i-0a1", "c-1").await.unwrap(), CommandSeen::Unknown);
    }
}
