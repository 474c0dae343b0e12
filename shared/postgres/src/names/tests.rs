use super::*;

/// A record of an answer, its owner written out in full.
fn record(owner: &str, kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in owner.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(INTERNET.to_be_bytes());
    bytes.extend([0, 0, 0, 5]);
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn alias(owner: &str, target: &str) -> Vec<u8> {
    let message = question(0, target).unwrap();
    record(owner, CNAME, &message[12..message.len() - 4])
}

/// An answer to a question as it was sent.
fn answer(question: &[u8], code: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] = 0x81;
    message[3] = 0x80 | code;
    message[7] = u8::try_from(records.len()).unwrap();
    message.extend(records.concat());
    message
}

/// What a server makes of a question.
type Reply = fn(&[u8]) -> Vec<u8>;

/// A server that answers each question in turn by a script; a question too many goes unanswered.
async fn server(script: Vec<Reply>) -> Names {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        for reply in script {
            let mut bytes = [0; 512];
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            socket.send_to(&reply(&bytes[..length]), from).await.unwrap();
        }
        // The port stays taken: a question too many is not answered with "refused".
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    Names::Server(address)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_chain_is_followed_in_one_answer() {
    let names = server(vec![|asked| {
        let records = [
            alias("Shop-rw.db.internal", "one.rds.internal"),
            record("one.rds.internal", 16, b"not an address"),
            record("stranger.internal", A, &[10, 9, 9, 9]),
            alias("one.rds.internal", "host.internal"),
            record("host.internal", A, &[127, 0, 15, 3]),
            record("host.internal", A, &[127, 0, 15, 4]),
        ];
        answer(asked, 0, &records)
    }])
    .await;
    assert_eq!(names.addresses("shop-rw.DB.internal.").await.unwrap(), [ip("127.0.15.3"), ip("127.0.15.4")]);
}

#[tokio::test]
async fn a_chain_is_followed_link_by_link() {
    let names = server(vec![|asked| answer(asked, 0, &[alias("shop-rw.db.internal", "one.rds.internal")]), |asked| {
        answer(asked, 0, &[record("one.rds.internal", A, &[127, 0, 15, 3])])
    }])
    .await;
    assert_eq!(names.addresses("shop-rw.db.internal").await.unwrap(), [ip("127.0.15.3")]);
}

#[tokio::test]
async fn an_answer_that_is_lost_or_of_another_question_is_asked_for_again() {
    let names = server(vec![
        |_| Vec::new(),
        |asked| {
            let mut other = answer(asked, 0, &[record("a.internal", A, &[10, 9, 9, 9])]);
            other[0] ^= 0xff;
            other
        },
        |asked| answer(asked, 0, &[record("a.internal", A, &[127, 0, 15, 3])]),
    ])
    .await;
    assert_eq!(names.addresses("a.internal").await.unwrap(), [ip("127.0.15.3")]);
}

#[tokio::test]
async fn what_has_no_address_is_silent_and_says_why() {
    let table: [(&str, Reply); 4] = [
        ("there is no such name", |asked| answer(asked, 3, &[])),
        ("the DNS server answers with error 2", |asked| answer(asked, 2, &[])),
        ("the answer is empty", |asked| answer(asked, 0, &[])),
        ("lead in a circle", |asked| {
            answer(asked, 0, &[alias("a.internal", "b.internal"), alias("b.internal", "a.internal")])
        }),
    ];
    for (why, reply) in table {
        let names = server(vec![reply; LONGEST_CHAIN]).await;
        let trouble = names.addresses("a.internal").await.unwrap_err();
        assert!(matches!(&trouble, Trouble::Silent(text) if text.contains(why)), "{why}: {trouble}");
    }
    let unsayable = Names::Server("127.0.0.1:9".parse().unwrap()).addresses("a..internal").await.unwrap_err();
    assert!(unsayable.to_string().contains("is no label"), "{unsayable}");
}

#[tokio::test]
async fn the_system_knows_this_machine() {
    assert!(Names::System.addresses("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
}

#[test]
fn names_are_read_through_pointers_and_no_message_is_read_for_ever() {
    let asked = question(7, "a.internal").unwrap();
    // A pointer to the name in the question, at offset 12, behind one label of its own.
    let record = [&[1, b'b', 0xc0, 12][..], &[0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 0, 15, 3]].concat();
    let message = answer(&asked, 0, &[record]);
    let hosts = vec![("b.a.internal".to_owned(), ip("127.0.15.3"))];
    assert_eq!(read(&message, 7), Some(Ok(Answer { hosts, aliases: vec![] })));
    let circle = answer(&asked, 0, &[vec![0xc0, u8::try_from(asked.len()).unwrap()]]);
    assert_eq!(read(&circle, 7), None);
    for length in 0..message.len() {
        // Cut anywhere, it is no answer, and no panic.
        assert_eq!(read(&message[..length], 7), None, "{length}");
    }
}
