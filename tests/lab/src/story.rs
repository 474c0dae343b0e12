//! One run, told to a person: what happened when, the page, the result.

use crate::{
    client::{Tally, What},
    clock::Moment,
    fault::Fault,
    led::Times,
    logs::Said,
    pages::Page,
    report::Run,
};
use std::{fmt::Write, io::IsTerminal, net::IpAddr};

/// Columns of a line; longer texts go on in the next line.
const WIDTH: usize = 112;
/// Columns of time and speaker together.
const MARGIN: usize = 28;

/// One line of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Moment,
    /// Who saw or did it.
    pub who: &'static str,
    /// What.
    pub text: String,
    /// How it is shown.
    pub tone: Tone,
}

/// What an entry means to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Neither good nor bad.
    Plain,
    /// Something broke.
    Bad,
    /// Something works again.
    Good,
}

/// Puts a run's happenings in the order of their times.
pub fn entries(
    fault: Fault,
    writer: &str,
    struck: Moment,
    tally: &Tally,
    outage: Option<(Moment, Moment)>,
    said: &[Said],
    pages: &[Page],
) -> Vec<Entry> {
    let entry = |at, who, text: String, tone| Entry { at, who, text, tone };
    let mut entries = vec![entry(struck, "fault", fault.sentence(writer), Tone::Bad)];
    if let Some((last, first)) = outage {
        entries.push(entry(last, "client", "last row accepted before the outage".to_owned(), Tone::Plain));
        let to = connected_to(tally, first).map(|address| format!(", by {address}")).unwrap_or_default();
        let gap = first.ms_since(last);
        let text = format!("first row accepted again{to}: {:.1} s without one", to_seconds(gap));
        entries.push(entry(first, "client", text, Tone::Good));
    }
    // Only the first of a row of same complaints: a dead host refuses ten times a second.
    let mut previous = None;
    for event in tally.events.iter().filter(|event| event.at >= struck) {
        let (text, tone) = match &event.what {
            What::Connected(address) => (format!("connected to {address}"), Tone::Plain),
            What::Lost(why) => (format!("lost its connection: {why}"), Tone::Bad),
            What::Refused(why) => (format!("cannot connect: {why}"), Tone::Bad),
        };
        if previous.as_ref() != Some(&text) {
            entries.push(entry(event.at, "client", text.clone(), tone));
        }
        previous = Some(text);
    }
    for line in said.iter().filter(|line| line.at >= struck) {
        entries.push(entry(line.at, line.function, line.text.clone(), Tone::Plain));
    }
    for page in pages {
        let subject = page.text.lines().next().unwrap_or_default();
        entries.push(entry(page.at, "page", subject.to_owned(), Tone::Good));
    }
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// Adds what was seen of Patroni and of the load balancer.
pub fn add_led(entries: &mut Vec<Entry>, times: &Times) {
    let mut add = |seen: &Option<(String, Moment)>, who, what: &str| {
        if let Some((id, at)) = seen {
            entries.push(Entry { at: *at, who, text: format!("{id} {what}"), tone: Tone::Plain });
        }
    };
    add(&times.leader, "patroni", "says that it leads");
    add(&times.front, "load balancer", "passes the health check for writers");
    entries.sort_by_key(|entry| entry.at);
}

/// The address that the client was connected to at a moment.
fn connected_to(tally: &Tally, at: Moment) -> Option<IpAddr> {
    let earlier = tally.events.iter().rev().filter(|event| event.at <= at);
    earlier.into_iter().find_map(|event| match event.what {
        What::Connected(address) => Some(address),
        _ => None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of minutes are exact in 53 bits")]
fn to_seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// How standard output shows things.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    colour: bool,
}

impl Look {
    /// Colour on a terminal, unless `NO_COLOR` says no.
    pub fn of_stdout() -> Look {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Look { colour: std::io::stdout().is_terminal() && !refused }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn tone(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Bad => self.paint("31", text),
            Tone::Good => self.paint("32", text),
        }
    }

    /// The whole story of a run.
    pub fn story(self, title: &str, struck: Moment, entries: &[Entry], run: &Run) -> String {
        let mut text = format!("\n{}\n\n", self.paint("1", title));
        for entry in entries {
            let time = format!("{:+9.2} s", entry.at.seconds_since(struck));
            let mut lines = wrap(&entry.text, WIDTH - MARGIN).into_iter();
            let first = lines.next().unwrap_or_default();
            let who = self.paint("36", &format!("{:15}", entry.who));
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{time}  {who} {}", self.tone(entry.tone, &first));
            for line in lines {
                let _ = writeln!(text, "{:MARGIN$} {}", "", self.tone(entry.tone, &line));
            }
        }
        for page in &run.pages {
            text.push_str(&self.framed("The page, as sent", page));
        }
        text.push_str(&self.result(run));
        text
    }

    /// A text in a box with a title.
    fn framed(self, title: &str, body: &str) -> String {
        let lines: Vec<String> = body.lines().flat_map(|line| labelled(line, WIDTH - 4)).collect();
        let width = lines.iter().map(|line| columns(line)).chain([columns(title) + 2]).max().unwrap_or_default();
        let rule = "─".repeat(width.saturating_sub(columns(title) + 1));
        let mut text = format!("\n┌─ {} {rule}┐\n", self.paint("1", title));
        for line in lines {
            let blank = " ".repeat(width - columns(&line));
            let _ = writeln!(text, "│ {line}{blank} │");
        }
        let _ = writeln!(text, "└─{}─┘", "─".repeat(width));
        text
    }

    /// The measures of a run.
    fn result(self, run: &Run) -> String {
        let seconds = |ms: Option<u64>| ms.map_or("not seen".to_owned(), |ms| format!("{:.2} s", to_seconds(ms)));
        let lost = run.lost.map_or("not known".to_owned(), |lost| lost.to_string());
        let lost = self.tone(if run.lost == Some(0) { Tone::Good } else { Tone::Bad }, &lost);
        let mut text = String::new();
        let _ = writeln!(text, "\nrows acknowledged  {:<10} lost  {lost}", run.acked);
        let _ = write!(text, "without a row      {:<10} ", seconds(run.outage_ms));
        if run.fault.moves_the_writer() {
            let (detect, promote, record) = (seconds(run.detect_ms), seconds(run.promote_ms), seconds(run.record_ms));
            let _ = match &run.patroni {
                None => write!(text, "of that: detecting {detect}, promoting {promote}, moving the record {record}"),
                Some(led) => {
                    let [leader, front, record] = [led.leader_ms, led.front_ms, led.record_ms].map(seconds);
                    let text = &mut text;
                    write!(text, "after the fault: Patroni {leader}, load balancer {front}, record {record}")
                }
            };
        }
        text.push('\n');
        text
    }
}

/// Breaks a line that may begin with a label, as a page's lines do (`Seen    i-0a1 is silent`): what follows the first
/// line stands below the text, not below the label.
fn labelled(line: &str, width: usize) -> Vec<String> {
    let text = line.find("  ").map(|at| line.len() - line[at..].trim_start().len());
    let indent = text.map_or(0, |at| columns(&line[..at])).min(width / 2);
    let head: String = line.chars().take(indent).collect();
    let rest: String = line.chars().skip(indent).collect();
    let mut lines = wrap(&rest, width - indent).into_iter();
    let first = format!("{head}{}", lines.next().unwrap_or_default());
    std::iter::once(first).chain(lines.map(|line| format!("{:indent$}{line}", ""))).collect()
}

/// Columns that a text takes on a terminal; every character of ours takes one.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a line between words; a word that is too long for a line is left whole. Blanks at its beginning, and those
/// that align columns inside it, are kept.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = line;
    while columns(rest) > width {
        let limit = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let begin = rest.len() - rest.trim_start().len();
        let blank = rest[..limit].rfind(' ').filter(|&at| at > begin);
        let blank = blank.or_else(|| rest[limit..].find(' ').map(|at| limit + at));
        let Some(blank) = blank else { break };
        lines.push(rest[..blank].trim_end().to_owned());
        rest = rest[blank..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Event;

    const PLAIN: Look = Look { colour: false };

    #[test]
    fn happenings_are_told_in_order_and_once() {
        let at = |ms: i64| Moment(u64::try_from(10_000_000 + ms * 1_000).unwrap_or_default());
        let new: IpAddr = IpAddr::from([127, 0, 12, 10]);
        let event = |ms, what| Event { at: at(ms), what };
        let refused = || What::Refused("127.0.11.10: no answer in 1 s".to_owned());
        let tally = Tally {
            rows: Vec::new(),
            events: vec![
                event(-2_000, What::Connected(IpAddr::from([127, 0, 11, 10]))),
                event(2_000, What::Lost("no answer in 2 s".to_owned())),
                event(3_100, refused()),
                event(4_200, refused()),
                event(4_400, What::Connected(new)),
            ],
        };
        let said = [Said { at: at(3_300), function: "promote-replica", text: "lease taken, epoch 2".to_owned() }];
        let pages = [Page { at: at(4_500), text: "P1 orders: writer moved\nSeen more".to_owned() }];
        let entries = entries(Fault::KillHost, "i-0a1", at(0), &tally, Some((at(-4), at(4_410))), &said, &pages);
        let lines: Vec<String> =
            entries.iter().map(|entry| format!("{} {}", entry.at.seconds_since(at(0)), entry.text)).collect();
        let expected = [
            "-0.004 last row accepted before the outage",
            "0 the hardware of i-0a1, the writer, dies; EC2 goes on saying running",
            "2 lost its connection: no answer in 2 s",
            "3.1 cannot connect: 127.0.11.10: no answer in 1 s",
            "3.3 lease taken, epoch 2",
            "4.4 connected to 127.0.12.10",
            "4.41 first row accepted again, by 127.0.12.10: 4.4 s without one",
            "4.5 P1 orders: writer moved",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_page_stands_in_a_box() {
        let expected = "
┌─ The page, as sent ─┐
│ P1 orders           │
│ Seen  ä             │
└─────────────────────┘
";
        assert_eq!(PLAIN.framed("The page, as sent", "P1 orders\nSeen  ä"), expected);
    }

    #[test]
    fn a_labelled_line_goes_on_below_its_text() {
        assert_eq!(labelled("Seen    one two three", 16), ["Seen    one two", "        three"]);
        assert_eq!(labelled("one two three", 8), ["one two", "three"]);
        assert_eq!(labelled("Seen    x", 16), ["Seen    x"]);
        assert_eq!(labelled("", 16), [""]);
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrap("short", 10), ["short"]);
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("Seen      i-0a1 silent", 16), ["Seen      i-0a1", "silent"], "columns stay aligned");
        assert_eq!(wrap("abcdefghijkl mn", 5), ["abcdefghijkl", "mn"], "a long word stays whole");
        assert_eq!(wrap("", 5), [""]);
    }
}
