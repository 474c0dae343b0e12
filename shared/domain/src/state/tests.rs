use super::*;

fn set(text: &str) -> Synchronous {
    Synchronous::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn settings_are_read_as_postgresql_reads_them() {
    let of = |required, names: &[&str]| Synchronous { required, names: names.iter().map(|&n| n.to_owned()).collect() };
    let table = [
        ("", of(0, &[])),
        ("ANY 1 (\"orders_2\", \"orders_3\")", of(1, &["orders_2", "orders_3"])),
        ("any 2(b,a)", of(2, &["a", "b"])),
        ("FIRST 1 (a, b)", of(1, &["a", "b"])),
        ("2 (a, b)", of(2, &["a", "b"])),
        ("a, b", of(1, &["a", "b"])),
        ("a", of(1, &["a"])),
    ];
    for (text, expected) in table {
        assert_eq!(Synchronous::parse(text), Some(expected.clone()), "{text}");
        assert!(expected.is_setting(text), "{text}");
    }
    for text in ["*", "ANY 1 (*)", "ANY (a)", "ANY 1 2 (a)", "ANY x (a)", "ANY 1 (a", "ANY 1 (a,,b)", "ANY 1 (\"a b\")"]
    {
        assert_eq!(Synchronous::parse(text), None, "{text}");
    }
}

/// Against the definition itself: every way to freeze n - k + 1 of the published names.
#[test]
fn covers_is_what_freezing_proves() {
    let texts = [
        "",
        "a",
        "b",
        "c",
        "ANY 1 (a,b)",
        "ANY 2 (a,b)",
        "ANY 1 (b,c)",
        "ANY 2 (b,c)",
        "ANY 1 (a,b,c)",
        "ANY 2 (a,b,c)",
        "ANY 3 (a,b,c)",
    ];
    let proves = |published: &Synchronous, applied: &Synchronous| {
        let (n, k) = (published.names.len(), published.required as usize);
        (0..1_u32 << n).filter(|mask| mask.count_ones() as usize == n - k + 1).all(|mask| {
            let frozen = |name: &String| {
                published.names.iter().position(|other| other == name).is_some_and(|place| mask & (1 << place) != 0)
            };
            let left = applied.names.iter().filter(|name| !frozen(name)).count();
            applied.is_on() && left < applied.required as usize
        })
    };
    for published in texts.map(set) {
        for applied in texts.map(set) {
            let expected = !published.is_on() || proves(&published, &applied);
            assert_eq!(published.covers(&applied), expected, "{published:?} covers {applied:?}");
        }
    }
}
