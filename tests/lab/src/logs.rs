//! What the functions log, read as it is written.

use crate::{clock::Moment, fleet::Fleet, place::Place, setup::FUNCTIONS};
use serde_json::Value;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// One line that a function logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When: by the function's own time, else when it was read, at most 20 ms later.
    pub at: Moment,
    /// The function.
    pub function: &'static str,
    /// The line's message.
    pub text: String,
}

/// Reads the functions' logs from now on; ends when dropped.
pub struct Listener {
    said: Arc<Mutex<Vec<Said>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Begins to read at the present ends of the logs.
    pub fn start(place: &Place) -> Listener {
        let said = Arc::new(Mutex::new(Vec::new()));
        let mut logs = FUNCTIONS.map(|function| Log::open_at_end(place, function));
        let heard = Arc::clone(&said);
        let task = tokio::spawn(async move {
            loop {
                let now = Moment::now();
                for log in &mut logs {
                    let lines = log.read(now);
                    heard.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Listener { said, task }
    }

    /// Everything said so far.
    pub fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The log of one function: the local AWS writes what each function prints to a file.
struct Log {
    function: &'static str,
    path: PathBuf,
    read_to: u64,
    rest: Vec<u8>,
}

impl Log {
    fn open_at_end(place: &Place, function: &'static str) -> Log {
        let path = place.dir.join("functions").join(format!("{}.log", Fleet::function(function)));
        let read_to = std::fs::metadata(&path).map_or(0, |found| found.len());
        Log { function, path, read_to, rest: Vec::new() }
    }

    /// The whole lines that were added. A function that has not run yet has no log.
    fn read(&mut self, now: Moment) -> Vec<Said> {
        let mut added = Vec::new();
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.read_to))?;
            file.read_to_end(&mut added)
        });
        if read.is_err() || added.is_empty() {
            return Vec::new();
        }
        self.read_to += added.len() as u64;
        self.rest.append(&mut added);
        let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let text = String::from_utf8_lossy(&whole);
        text.lines().filter_map(|line| said(self.function, line, now)).collect()
    }
}

/// One line of a log; `None` for what is not meant for a person: metrics, blank lines.
fn said(function: &'static str, line: &str, now: Moment) -> Option<Said> {
    let line = line.trim();
    if line.is_empty() {
        return None;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(line) else {
        return Some(Said { at: now, function, text: message(line) });
    };
    if fields.contains_key("_aws") {
        return None;
    }
    let message = fields.get("message").or_else(|| fields.get("fields")?.get("message"));
    let text = message.and_then(Value::as_str).map_or_else(|| line.to_owned(), str::to_owned);
    let time = fields.get("timestamp").and_then(Value::as_str).and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let at = time.and_then(|time| u64::try_from(time.as_microsecond()).ok()).map_or(now, Moment);
    Some(Said { at, function, text })
}

/// The message in a line as Lambda's runtime for Rust prints it, with level and request before it:
/// ` INFO Lambda runtime invoke{requestId="..." xrayTraceId="..."}: message`.
fn message(line: &str) -> String {
    let mut plain = String::new();
    let mut parts = line.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    // What follows an escape is its code, up to the letter m.
    plain.extend(parts.map(|part| part.split_once('m').map_or(part, |(_, text)| text)));
    let plain = plain.trim();
    let levels = ["INFO ", "WARN ", "ERROR "];
    let Some(rest) = levels.iter().find_map(|level| plain.strip_prefix(level)) else { return plain.to_owned() };
    let rest = rest.trim_start();
    match rest.strip_prefix("Lambda runtime invoke{").and_then(|rest| rest.split_once("}: ")) {
        Some((_, message)) => message.to_owned(),
        None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_people_are_kept() {
        let now = Moment(7);
        let of = |line: &str| said("promote-replica", line, now).map(|said| (said.at.0, said.text));
        let json = r#"{"timestamp":"1970-01-01T00:00:01.5Z","level":"INFO","fields":{"message":"promoted i-0b2"}}"#;
        assert_eq!(of(json), Some((1_500_000, "promoted i-0b2".to_owned())));
        assert_eq!(of(r#"{"level":"INFO","message":"promoted i-0b2"}"#), Some((7, "promoted i-0b2".to_owned())));
        assert_eq!(of("plain words"), Some((7, "plain words".to_owned())));
        let text =
            "\u{1b}[32m INFO\u{1b}[0m \u{1b}[1mLambda runtime invoke\u{1b}[0m{requestId=\"a-b\"}: orders: {steady}";
        assert_eq!(of(text), Some((7, "orders: {steady}".to_owned())));
        assert_eq!(of(r#"{"_aws":{"Timestamp":1},"ProbeFailures":3}"#), None);
        assert_eq!(of("  "), None);
    }
}
