use proptest::prelude::*;

use super::*;

fn says(instance: usize, change: impl Fn(&mut Greeting)) -> Greeting {
    let hello = Hello {
        pipeline: "orders".to_owned(),
        plan: "A >> B >> C".to_owned(),
        instance,
        epoch: instance as u64,
        started: 0,
    };
    let mut greeting = Greeting::new(hello, vec!["a:1".to_owned(), "b:2".to_owned(), "c:3".to_owned()], 9000).unwrap();
    change(&mut greeting);
    greeting
}

/// What instance 2 finds of what instance 1 says to it.
fn judged(shown: Option<&[PeerId]>, change: impl Fn(&mut Greeting)) -> Result<(), (Code, String)> {
    let other = says(0, |greeting| {
        greeting.to = 1;
        change(greeting);
    });
    says(1, |_| {}).judge(&other, shown).map_err(|refusal| (refusal.code, refusal.text))
}

#[test]
fn epochs_of_an_instance_rise() {
    let (one, two) = (|met| says(0, |greeting| greeting.epoch = 5_000_000).to(1, met), says(1, |_| {}).to(0, 0));
    let judged = |other: &Greeting, met| two.judge_epochs(other, met).map_err(|refusal| (refusal.code, refusal.text));
    assert_eq!(judged(&one(0), 0), Ok(()));
    assert_eq!(judged(&one(1), 5_000_000), Ok(()), "the same again");
    let text = |who: &str, by: &str| {
        format!(
            "a process of instance {who} was here that started {by} later than this one says: its clock was set back. Set \
             it right and start it again, or stop all instances and start them again"
        )
    };
    assert_eq!(judged(&one(0), 8_000_000), Err((Code::Clock, text("1 (a:1)", "3s"))));
    assert_eq!(judged(&one(2), 0), Err((Code::Clock, text("2 (b:2)", "1µs"))), "as the other says");
}

#[test]
fn one_that_agrees_is_accepted() {
    assert_eq!(judged(None, |_| {}), Ok(()));
    assert_eq!(judged(Some(&[0]), |_| {}), Ok(()));
    assert_eq!(judged(Some(&[2, 0]), |_| {}), Ok(()));
}

#[test]
fn each_difference_has_its_code_and_its_words() {
    let refused = |shown, change: fn(&mut Greeting)| judged(shown, change).unwrap_err();
    assert_eq!(
        refused(None, |other| other.peers[2] = "d:4".to_owned()),
        (
            Code::Peers,
            "the lists of peers differ: place 3 is c:3 on instance 2 (b:2) and d:4 on instance 1 (a:1); give all the \
             same list"
                .to_owned()
        )
    );
    assert_eq!(refused(None, |other| drop(other.peers.pop())).0, Code::Peers);
    assert_eq!(refused(Some(&[2]), |_| {}).0, Code::Identity);
    assert_eq!(refused(Some(&[]), |_| {}).0, Code::Identity);
    assert_eq!(refused(None, |other| other.instance = 3).0, Code::Identity);
    assert_eq!(refused(None, |other| other.to = 2).0, Code::Identity);
    assert_eq!(refused(None, |other| other.pipeline.push('s')).0, Code::Pipeline);
    assert_eq!(
        refused(None, |other| other.plan = "A >> X >> C".to_owned()),
        (
            Code::Pipeline,
            "the plans differ: stage 2 is `B` on instance 2 (b:2) and `X` on instance 1 (a:1); run the same program \
             with the same settings everywhere"
                .to_owned()
        )
    );
    assert_eq!(refused(None, |other| other.max_frame = 1).0, Code::Settings);
}

#[test]
fn where_plans_differ_is_found_and_shown_short() {
    let differs = |mine: &str, theirs: &str| difference(mine, theirs, "me", "them").unwrap();
    assert_eq!(differs("A >> B", "A"), "me has a stage 2 behind all that the other has: `B`");
    assert_eq!(differs("A", "A >> B >> C"), "them has a stage 2 behind all that the other has: `B`");
    let (long, other) = (format!("A >> {}x{}", "m".repeat(900), "n".repeat(900)), format!("A >> {}", "m".repeat(1801)));
    let text = differs(&long, &other);
    assert!(text.contains("mx") && text.chars().count() < 3 * SHOWN, "{text}");
    assert_eq!(difference("A", "A", "me", "them"), None);
}

#[test]
fn a_plan_that_does_not_fit_is_told_before_anything_is_opened() {
    let with = |plan: usize| {
        let hello = Hello { plan: "x".repeat(plan), ..says(0, |_| {}).hello() };
        Greeting::new(hello, vec!["a:1".to_owned()], usize::MAX)
    };
    let fits = (0..=MAX_WORD).rev().find(|plan| with(*plan).is_ok()).unwrap();
    assert!(fits > MAX_WORD - 100, "{fits}");
    let longest = Word::Greeting(with(fits).unwrap().to(300, u64::MAX));
    assert!(postcard::to_stdvec(&longest).unwrap().len() <= MAX_WORD);
    assert!(with(fits + 1).unwrap_err().contains("don't fit"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = postcard::from_bytes::<Word>(&bytes);
    }

    #[test]
    fn plans_that_differ_are_never_taken_for_the_same(mine in "[ab>é ]{0,12}", theirs in "[ab>é ]{0,12}") {
        prop_assert_eq!(difference(&mine, &theirs, "me", "them").is_none(), mine == theirs);
    }
}
