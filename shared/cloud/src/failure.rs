//! What an error of the SDK means for the caller.

use aws_sdk_ssm::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::RequestId,
};
use reconcile::Failure;
use std::{error::Error as StdError, fmt};

/// What a call was about, for the text of its failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// Kind and name: `table lab-state`.
    pub what: &'a str,
    /// What a person should check when it is missing: a question.
    pub check: &'a str,
}

/// What the service answered, in its own code and words.
#[derive(Debug)]
pub(crate) struct Answer {
    code: String,
    message: String,
    request: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.request {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl StdError for Answer {}

/// The longest service message that is passed on. EC2 appends to a denial the
/// encoded request, some kilobytes that nobody can read at night.
const LONGEST_MESSAGE: usize = 400;

/// What the codes of a service mean. Everything that is not listed may pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Denied,
    Missing,
    Malformed,
    LostRace,
    Passing,
}

fn meaning(code: &str) -> Meaning {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthFailure"
        | "AuthorizationError"
        | "DecryptionFailure"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "KMSAccessDenied"
        | "KMSAccessDeniedException"
        | "MissingAuthenticationToken"
        | "NotAuthorized"
        | "OptInRequired"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException" => Meaning::Denied,
        "InvalidInstanceID.Malformed"
        | "InvalidInstanceID.NotFound"
        | "InvalidNetworkAclID.NotFound"
        | "NoSuchHealthCheck"
        | "NoSuchHostedZone"
        | "NoSuchResourceException"
        | "NotFound"
        | "NotFoundException"
        | "ParameterNotFound"
        | "ResourceNotFoundException" => Meaning::Missing,
        "DisabledException"
        | "InvalidAction"
        | "InvalidInput"
        | "InvalidParameter"
        | "InvalidParameterCombination"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidRequestContentException"
        | "InvalidRequestException"
        | "KMSInvalidStateException"
        | "RequestTooLargeException"
        | "SerializationException"
        | "ValidationError"
        | "ValidationException" => Meaning::Malformed,
        "ConditionalCheckFailedException" | "InvalidAssociationID.NotFound" | "ResourceExistsException" => {
            Meaning::LostRace
        }
        _ => Meaning::Passing,
    }
}

/// Files an SDK error under the call that met it, by what it means.
///
/// The service's code and message stay in the text (of a failure that needs a
/// person) or in the chain of causes (of one that may pass).
pub(crate) fn classify<E>(call: &'static str, subject: Subject<'_>, error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let Subject { what, check } = subject;
    if let SdkError::ConstructionFailure(_) = &error {
        // Nothing was sent: no Region, no credentials, or a required field empty.
        let cause = shortened(&DisplayErrorContext(&error).to_string());
        return Failure::Broken { call, what: format!("the request for {what} could not be made: {cause}") };
    }
    let Some(answer) = answer(&error) else {
        return Failure::Transient { call, source: Box::new(error) };
    };
    match meaning(&answer.code) {
        Meaning::Denied => Failure::Broken {
            call,
            what: format!("not allowed on {what} ({answer}); does this function's role permit {call} there?"),
        },
        Meaning::Missing => Failure::Broken { call, what: format!("{what} does not exist ({answer}); {check}") },
        Meaning::Malformed => Failure::Broken { call, what: format!("the request for {what} was refused ({answer})") },
        Meaning::LostRace => Failure::LostRace { call, what: what.to_owned() },
        Meaning::Passing => Failure::Transient { call, source: Box::new(answer) },
    }
}

/// What the service said, or `None` when it said nothing that names a reason.
pub(crate) fn answer<E>(error: &SdkError<E, HttpResponse>) -> Option<Answer>
where
    E: ProvideErrorMetadata,
{
    let SdkError::ServiceError(_) = error else { return None };
    let status = error.raw_response().map(|response| response.status().as_u16());
    let code = match (error.code(), status) {
        (Some(code), _) => code.to_owned(),
        (None, Some(status)) => format!("HTTP {status}"),
        (None, None) => return None,
    };
    Some(Answer {
        code,
        message: shortened(error.message().unwrap_or("no message")),
        request: error.request_id().map(str::to_owned),
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod tests;
