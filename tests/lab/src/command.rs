//! Programs that the lab runs and waits for.

use crate::{
    error::{Error, cannot},
    place::Place,
};
use std::{collections::VecDeque, fs::File, io::Write, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
};

/// Lines of a failed program's output that are shown.
const TAIL: usize = 25;

/// Runs a program to its end and hands on every line of its standard output and its standard error as it comes. All
/// lines of standard error, and those of standard output for which `kept` is true, are also written to
/// `logs/<name>.log`.
pub async fn run(
    place: &Place,
    name: &str,
    doing: &str,
    mut command: Command,
    mut each: impl FnMut(Line<'_>) -> Keep,
) -> Result<(), Error> {
    let log = place.logs().join(format!("{name}.log"));
    let mut file = File::create(&log).map_err(cannot(format!("write {}", log.display())))?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot(format!("{doing}: run {name}")))?;
    let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(cannot(doing)("its output is not readable"));
    };
    let mut tail = VecDeque::new();
    let (mut out, mut err) = (lines(out), lines(err));
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        let (text, keep) = tokio::select! {
            line = out.next_line(), if out_open => match line.map_err(cannot(doing))? {
                Some(line) => { let keep = each(Line::Out(&line)); (line, keep) }
                None => { out_open = false; continue }
            },
            line = err.next_line(), if err_open => match line.map_err(cannot(doing))? {
                Some(line) => { each(Line::Err(&line)); (line, Keep::Yes) }
                None => { err_open = false; continue }
            },
        };
        if keep == Keep::Yes {
            writeln!(file, "{text}").map_err(cannot(format!("write {}", log.display())))?;
            tail.push_back(text);
            if tail.len() > TAIL {
                tail.pop_front();
            }
        }
    }
    let status = child.wait().await.map_err(cannot(doing))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Program {
        doing: doing.to_owned(),
        program: name.to_owned(),
        status: status.to_string(),
        tail: Vec::from(tail).join("\n"),
        log,
    })
}

fn lines<R: AsyncRead + Unpin>(from: R) -> tokio::io::Lines<BufReader<R>> {
    BufReader::new(from).lines()
}

/// A line of a program's output.
#[derive(Debug, Clone, Copy)]
pub enum Line<'a> {
    /// On standard output.
    Out(&'a str),
    /// On standard error.
    Err(&'a str),
}

/// Whether a line is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is.
    Yes,
    /// It is meant for the lab alone.
    No,
}
