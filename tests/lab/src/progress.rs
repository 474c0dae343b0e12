//! What is being done now, shown on standard error: a moving line on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a long step says that it is still at work where no moving line can.
const PLAIN_EVERY: Duration = Duration::from_secs(15);

/// Shows the steps of one command.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    terminal: bool,
}

/// One step, shown until it is dropped or done.
#[derive(Debug)]
pub struct Step {
    name: &'static str,
    began: Instant,
    bar: Option<ProgressBar>,
    /// What is being done, for the plain lines; their task ends with the step.
    now: Arc<Mutex<String>>,
    plain: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// Moving lines when standard error is a terminal.
    pub fn new() -> Progress {
        Progress { terminal: std::io::stderr().is_terminal() }
    }

    /// Begins a step; its name fits in 12 columns.
    pub fn step(self, name: &'static str) -> Step {
        let now = Arc::new(Mutex::new(String::new()));
        let began = Instant::now();
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new_spinner().with_prefix(name);
            // Both parts are fixed text: the template cannot be wrong at run time only.
            if let Ok(style) = ProgressStyle::with_template("  {prefix:12} {spinner} {wide_msg} {elapsed}") {
                bar.set_style(style.tick_chars("|/-\\ "));
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let plain = (!self.terminal).then(|| {
            let now = Arc::clone(&now);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(PLAIN_EVERY).await;
                    let text = now.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    eprintln!("  {name:12} {text} ({} s so far)", began.elapsed().as_secs());
                }
            })
        });
        Step { name, began, bar, now, plain }
    }
}

impl Step {
    /// Says what the step is doing now.
    pub fn tell(&self, text: impl Into<String>) {
        let text = text.into();
        if let Some(bar) = &self.bar {
            bar.set_message(text.clone());
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Ends the step with what it came to.
    pub fn done(self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("  {:12} {text:<56} {:>6.1} s", self.name, self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(plain) = &self.plain {
            plain.abort();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
