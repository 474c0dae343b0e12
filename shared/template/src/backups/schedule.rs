//! How far apart scheduled backups are.

/// The days of a week as systemd writes them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Days of a month, for a calendar event that is bound to dates: at most so far apart, if it comes each month.
const MONTH: u32 = 31;

/// The most days between two backups of any kind, by two calendar events of systemd.
///
/// Only days of the week are read. Whatever else binds an event to dates (`*-*-01`) counts as once a month: an
/// alarm that comes too late is better than one that rings every day.
///
/// Source: systemd.time(7), "Calendar events".
pub(super) fn longest_gap_days(full_at: &str, diff_at: &str) -> u32 {
    let mut taken = [false; 7];
    for event in [full_at, diff_at] {
        for (day, on) in taken.iter_mut().zip(days(event)) {
            *day |= on;
        }
    }
    let on: Vec<usize> = (0..7).filter(|&day| taken[day]).collect();
    let gaps = on.iter().enumerate().map(|(at, &day)| {
        let next = on[(at + 1) % on.len()];
        // From a day to itself is a week.
        (next + 6 - day) % 7 + 1
    });
    gaps.max().and_then(|gap| u32::try_from(gap).ok()).unwrap_or(MONTH)
}

/// The days of the week on which an event comes; none for one that is bound to dates.
fn days(event: &str) -> [bool; 7] {
    let event = event.to_lowercase();
    let mut words = event.split_whitespace().peekable();
    let first = words.peek().copied().unwrap_or_default();
    let mut on = match first {
        "weekly" => return [true, false, false, false, false, false, false],
        "minutely" | "hourly" | "daily" => return [true; 7],
        _ => [true; 7],
    };
    if let Some(named) = weekdays(first) {
        on = named;
        words.next();
    }
    // What is left is a date, a time, a time zone. A date has two hyphens, and every day is `*-*-*`.
    let dated = words.any(|word| word.matches('-').count() == 2 && word != "*-*-*");
    let word = matches!(first, "monthly" | "quarterly" | "semiannually" | "biannually" | "yearly" | "annually");
    if dated || word { [false; 7] } else { on }
}

/// `mon`, `monday`, `mon..sat`, `mon,wed`; `None` for what names no day.
fn weekdays(word: &str) -> Option<[bool; 7]> {
    let number = |name: &str| DAYS.iter().position(|day| name.len() >= 3 && name.starts_with(day));
    let mut on = [false; 7];
    for part in word.trim_end_matches(',').split(',') {
        match part.split_once("..") {
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                // Over the end of the week: Sat..Mon.
                for step in 0..=(to + 7 - from) % 7 {
                    on[(from + step) % 7] = true;
                }
            }
            None => on[number(part)?] = true,
        }
    }
    Some(on)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_apart_backups_are() {
        let table = [
            ("the default: one a day", "Sun 02:00", "Mon..Sat 02:00", 1),
            ("every day", "Sun 02:00", "*-*-* 02:00:00", 1),
            ("by its name", "weekly", "daily", 1),
            ("working days", "Mon 02:00", "Tue..Fri 02:00", 3),
            ("over the end of the week", "Wed 02:00", "Sat..Mon 02:00", 3),
            ("some days", "Sun 02:00", "Mon,Wed,Fri 02:00", 2),
            ("the same day twice", "Sunday 02:00", "Sun 14:00", 7),
            ("weekly is Monday", "weekly", "Mon 14:00", 7),
            ("by date, and daily", "*-*-01 02:00", "02:00", 1),
            ("both by date", "*-*-01 02:00", "*-*-15 02:00", 31),
            ("monthly", "monthly", "monthly", 31),
        ];
        for (name, full_at, diff_at, expected) in table {
            assert_eq!(longest_gap_days(full_at, diff_at), expected, "{name}");
        }
    }
}
