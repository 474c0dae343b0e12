//! What a change lost, as far as anybody saw.

use crate::{
    begun,
    kit::{Chain, moved},
};
use domain::{failover::Seen, follow::Led, lsn::Lsn, state::Loss};

#[test]
fn what_was_lost_is_never_said_better_than_it_was_seen() {
    let told = |setting: Option<&'static str>, last: Option<u64>| {
        move |led: &mut Led| {
            let suspicion = led.seen.suspicion.as_mut().unwrap();
            suspicion.synchronous_setting = setting.map(str::to_owned);
            suspicion.last_lsn = last.map(Lsn);
        }
    };
    let table: Vec<(&str, Led, Loss, &str)> = vec![
        (
            "a synchronous standby",
            moved().but(told(Some("shop_b"), Some(950))),
            Loss::Nothing,
            "shop_b was a synchronous standby (ANY 1 (\"shop_b\") when a probe saw it last)",
        ),
        (
            "one of two, both needed",
            moved().but(told(Some("2 (shop_b,shop_c)"), None)),
            Loss::Nothing,
            "shop_b was a synchronous standby (ANY 2 (\"shop_b\", \"shop_c\") when a probe saw it last)",
        ),
        (
            "one of two, one needed",
            moved().but(told(Some("ANY 1 (shop_b,shop_c)"), None)),
            Loss::Nothing,
            "Patroni elects by quorum, and shop_b was in it (ANY 1 (\"shop_b\", \"shop_c\") when a probe saw it last)",
        ),
        (
            "commits waited for another",
            moved().but(told(Some("shop_c"), Some(950))),
            Loss::Bytes(50),
            "50 bytes up to 0/3B6, where a probe saw i-a last; shop_b took over at 0/384",
        ),
        (
            "for nobody, all was there",
            moved().but(told(Some(""), Some(900))),
            Loss::Bytes(0),
            "nothing up to 0/384, where a probe saw i-a last; shop_b took over at 0/384",
        ),
        (
            "for nobody, one byte was not",
            moved().but(told(Some(""), Some(901))),
            Loss::Bytes(1),
            "1 bytes up to 0/385, where a probe saw i-a last; shop_b took over at 0/384",
        ),
        (
            "nobody saw where it wrote",
            moved().but(told(Some(""), None)),
            Loss::Unknown,
            "no probe saw where i-a wrote last, and no commit waited for shop_b",
        ),
        (
            "no suspicion: what is noted proves nothing",
            moved().but(|led| led.seen.suspicion = None),
            Loss::Unknown,
            "no probe saw where i-a wrote last, and no commit waited for shop_b",
        ),
        (
            "no history",
            moved().but(told(Some(""), Some(950))).but(|led| led.account = Seen::Unavailable("x".into())),
            Loss::Unknown,
            "i-a had come to 0/3B6, and no history tells where shop_b took over",
        ),
        (
            "as asked",
            moved().but(|led| led.seen.switchover = Some("shop_b".into())),
            Loss::Nothing,
            "Patroni shut i-a down in order before shop_b took over",
        ),
    ];
    for (what, led, loss, why) in table {
        let change = begun(led);
        assert_eq!((change.loss, change.loss_because.as_deref()), (Some(loss), Some(why)), "{what}");
    }
}
