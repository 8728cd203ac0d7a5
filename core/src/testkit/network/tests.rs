use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{Delays, SimNetwork};
use crate::contracts::{Hello, Lane, LinkEvent, Links, Network as _, PeerId};
use crate::testkit::{Seeded, SimulatedClock};

const LANES: [Lane; 3] = [Lane::Control, Lane::Outcomes, Lane::Records(0)];

/// Longer than any detection.
const LONG: Duration = Duration::from_secs(20);

const CLOSED: &str = "these links are closed";

fn network(instances: usize, seed: u64) -> SimNetwork {
    SimNetwork::new(instances, seed, Arc::new(SimulatedClock::new()))
}

fn hello(instance: PeerId, epoch: u64) -> Hello {
    let (pipeline, plan) = ("test".to_owned(), "a plan".to_owned());
    Hello { pipeline, plan, instance, epoch, started: epoch as i64 }
}

async fn open(network: &SimNetwork, me: PeerId, epoch: u64) -> Box<dyn Links> {
    network.instance(me).open(hello(me, epoch)).await.expect("nobody else is there")
}

/// Two that reach each other.
async fn two(network: &SimNetwork) -> [Box<dyn Links>; 2] {
    let mut both = [open(network, 0, 1).await, open(network, 1, 2).await];
    for (me, links) in both.iter_mut().enumerate() {
        assert_eq!(told(links).await, Told::Up(1 - me, 2 - me as u64));
    }
    both
}

/// What was told, in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Told {
    Up(PeerId, u64),
    Down(PeerId),
    Frame(PeerId, Lane, u64),
    Nothing,
    Error(String),
}

async fn told(links: &mut Box<dyn Links>) -> Told {
    match timeout(LONG, links.next()).await {
        Ok(Ok(LinkEvent::Up(hello))) => Told::Up(hello.instance, hello.epoch),
        Ok(Ok(LinkEvent::Down { peer, .. })) => Told::Down(peer),
        Ok(Ok(LinkEvent::Frame { peer, lane, frame })) => Told::Frame(peer, lane, number(&frame)),
        Ok(Ok(LinkEvent::Unreached { why, .. })) => panic!("a simulated network refuses nobody: {why}"),
        Ok(Err(error)) => Told::Error(error.to_string()),
        Err(_) => Told::Nothing,
    }
}

/// All that is told until nothing more is.
async fn all_told(links: &mut Box<dyn Links>) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        match told(links).await {
            Told::Nothing => return all,
            told => all.push(told),
        }
    }
}

fn number(frame: &Bytes) -> u64 {
    u64::from_le_bytes(frame.as_ref().try_into().expect("a number was sent"))
}

fn send(links: &mut Box<dyn Links>, peer: PeerId, lane: Lane, number: u64) {
    let bytes = Bytes::copy_from_slice(&number.to_le_bytes());
    links.send(peer, lane, vec![bytes.slice(..3), bytes.slice(3..)]);
}

/// The numbers that came over a lane.
fn of_lane(told: &[Told], of: Lane) -> Vec<u64> {
    let number = |told: &Told| match told {
        Told::Frame(_, lane, number) if *lane == of => Some(*number),
        _ => None,
    };
    told.iter().filter_map(number).collect()
}

#[tokio::test(start_paused = true)]
async fn frames_keep_their_order_in_a_lane_and_have_none_between_lanes() {
    let network = network(2, 1);
    let [mut one, mut other] = two(&network).await;
    for number in 0..300 {
        send(&mut one, 1, LANES[number as usize % 3], number);
    }
    let told = all_told(&mut other).await;
    for (at, lane) in LANES.into_iter().enumerate() {
        assert_eq!(of_lane(&told, lane), (0..100).map(|turn| turn * 3 + at as u64).collect::<Vec<_>>());
    }
    let traffic = network.traffic();
    assert_eq!((traffic.frames, traffic.arrived, traffic.lost), (300, 300, 0));
    assert!(traffic.overtaken > 30, "lanes overtake each other: {traffic:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cut_pair_loses_each_other_and_finds_each_other_again() {
    let network = network(3, 2);
    let [mut one, mut other] = two(&network).await;
    let mut third = open(&network, 2, 3).await;
    assert_eq!(all_told(&mut third).await.len(), 2);
    network.cut(0, 1);
    send(&mut one, 1, Lane::Control, 7);
    assert_eq!(all_told(&mut one).await, [Told::Up(2, 3), Told::Down(1)]);
    assert_eq!(all_told(&mut other).await, [Told::Up(2, 3), Told::Down(0)]);
    assert_eq!(told(&mut third).await, Told::Nothing, "the others are not concerned");
    network.heal(1, 0);
    assert_eq!(told(&mut one).await, Told::Up(1, 2));
    assert_eq!(all_told(&mut other).await, [Told::Up(0, 1)], "what was sent into the cut is lost");
    assert_eq!(network.traffic().lost, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cut_that_nobody_notices_only_delays() {
    let network = network(2, 3);
    let [mut one, mut other] = two(&network).await;
    (0..10).for_each(|number| send(&mut one, 1, Lane::Outcomes, number));
    network.cut(0, 1);
    (10..20).for_each(|number| send(&mut one, 1, Lane::Outcomes, number));
    sleep(Duration::from_secs(1)).await;
    network.heal(0, 1);
    let told = all_told(&mut other).await;
    assert_eq!(of_lane(&told, Lane::Outcomes), (0..20).collect::<Vec<_>>());
    assert_eq!(told.len(), 20, "nobody was told of anything");
    assert_eq!(network.traffic().unnoticed, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_has_noticed_a_cut_ends_the_link_for_both() {
    for seed in 0..20 {
        let network = network(2, seed).delays(Delays { detection: Duration::from_secs(10), ..Delays::default() });
        let [mut one, mut other] = two(&network).await;
        network.cut(0, 1);
        assert_eq!(told(&mut one).await, Told::Down(1));
        send(&mut other, 0, Lane::Control, 1);
        network.heal(0, 1);
        assert_eq!(told(&mut one).await, Told::Up(1, 2), "seed {seed}");
        let told = all_told(&mut other).await;
        assert!(told == [Told::Up(0, 1)] || told == [Told::Down(0), Told::Up(0, 1)], "seed {seed}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_killed_comes_back_as_another() {
    let mut frames = [0; 11];
    for seed in 0..100 {
        let network = network(2, seed);
        let [mut one, mut other] = two(&network).await;
        (0..10).for_each(|number| send(&mut one, 1, Lane::Control, number));
        drop(one);
        assert!(!network.is_open(0));
        let told = all_told(&mut other).await;
        let came = of_lane(&told, Lane::Control);
        assert_eq!(came, (0..came.len() as u64).collect::<Vec<_>>(), "what came is a beginning of what was sent");
        assert_eq!(told.last(), Some(&Told::Down(0)));
        frames[came.len()] += 1;
        let mut again = open(&network, 0, 5).await;
        assert_eq!(self::told(&mut again).await, Told::Up(1, 2));
        assert_eq!(self::told(&mut other).await, Told::Up(0, 5));
    }
    assert!(frames[0] < 100 && frames[10] < 100, "some of it gets through, and some not: {frames:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_one_that_was_killed_is_nobody() {
    let network = network(2, 5);
    let [mut one, mut other] = two(&network).await;
    network.kill(0);
    assert_eq!(told(&mut other).await, Told::Down(0));
    let mut again = open(&network, 0, 5).await;
    assert_eq!((told(&mut again).await, told(&mut other).await), (Told::Up(1, 2), Told::Up(0, 5)));
    send(&mut one, 1, Lane::Control, 1);
    one.close().await;
    assert_eq!((told(&mut one).await, told(&mut other).await), (Told::Error(CLOSED.to_owned()), Told::Nothing));
    drop(one);
    assert_eq!(told(&mut other).await, Told::Nothing);
    assert!(network.is_open(0));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_given_up_is_down_for_both_and_comes_again() {
    for seed in 0..20 {
        let network = network(2, seed);
        let [mut one, mut other] = two(&network).await;
        send(&mut other, 0, Lane::Control, 1);
        one.cut(1, "it talks nonsense");
        assert_eq!(all_told(&mut one).await, [Told::Down(1), Told::Up(1, 2)]);
        assert_eq!(all_told(&mut other).await, [Told::Down(0), Told::Up(0, 1)]);
        assert_eq!(network.traffic().given_up, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quick_restart_may_be_the_first_word_of_the_end() {
    let mut without = 0;
    for seed in 0..40 {
        let network = network(2, seed);
        let [one, mut other] = two(&network).await;
        drop(one);
        let _again = open(&network, 0, 5).await;
        let told = all_told(&mut other).await;
        assert_eq!(told.last(), Some(&Told::Up(0, 5)), "seed {seed}");
        without += usize::from(told.len() == 1);
    }
    assert!((1..40).contains(&without), "an end is told of or not: {without} of 40 times not");
}

#[tokio::test(start_paused = true)]
async fn a_second_of_the_same_is_refused() {
    let network = network(2, 4);
    let [one, _other] = two(&network).await;
    let refused = network.instance(0).open(hello(0, 9)).await.err().expect("it is there already");
    assert!(refused.to_string().contains("instance-1 is running already"), "{refused}");
    drop(one);
    open(&network, 0, 9).await;
    assert_eq!(network.traffic().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_runs_another_pipeline_is_refused_by_those_that_are_there() {
    let network = network(2, 4);
    let mut one = open(&network, 0, 1).await;
    let other = Hello { plan: "another plan".to_owned(), ..hello(1, 2) };
    let mut other = network.instance(1).open(other).await.expect("nobody else is there");
    assert!(matches!(told(&mut other).await, Told::Error(error) if error.contains("another pipeline")));
    assert_eq!(told(&mut one).await, Told::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_close_delivers_what_was_sent() {
    for seed in 0..20 {
        let network = network(2, seed);
        let [mut one, mut other] = two(&network).await;
        (0..10).for_each(|number| send(&mut one, 1, Lane::Records(3), number));
        one.close().await;
        drop(one);
        let told = all_told(&mut other).await;
        assert_eq!(of_lane(&told, Lane::Records(3)), (0..10).collect::<Vec<_>>());
        assert_eq!((told.len(), told.last()), (11, Some(&Told::Down(0))));
        assert_eq!(network.traffic().dropped, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_ever() {
    let network = network(2, 6);
    let [mut one, mut other] = two(&network).await;
    network.cut(0, 1);
    send(&mut one, 1, Lane::Control, 1);
    timeout(LONG, one.close()).await.expect("it gives up");
    assert_eq!(all_told(&mut other).await, [Told::Down(0)]);
}

/// Everything that can happen, in any order: what each hears is well-formed, and the same again for the same seed.
#[tokio::test(start_paused = true)]
async fn whatever_happens_each_hears_a_story_that_makes_sense() {
    for seed in 0..60 {
        let (first, again) = (story(seed).await, story(seed).await);
        assert_eq!(first, again, "seed {seed} is the same again");
    }
}

async fn story(seed: u64) -> String {
    let network = network(3, seed);
    let mut random = Seeded::new(seed);
    let mut all: Vec<Option<Heard>> = vec![None, None, None];
    for step in 0..200 {
        let (me, peer) = (random.below(3) as usize, random.below(3) as usize);
        match random.below(13) {
            0 => all[me] = None,
            12 => all[me].iter_mut().for_each(|heard| heard.links.cut(peer, "a test")),
            1 => network.cut(me, peer),
            2 | 3 => network.heal(me, peer),
            _ if all[me].is_none() => all[me] = Some(Heard::new(open(&network, me, step).await)),
            _ => {
                let heard = all[me].as_mut().expect("it is there");
                send(&mut heard.links, peer, *random.one_of(&LANES), step);
            }
        }
        sleep(random.time(Duration::from_millis(1_500))).await;
        for heard in all.iter_mut().flatten() {
            heard.listen().await;
        }
    }
    network.heal_all();
    let mut stories = format!("{:?}", network.traffic());
    for (me, heard) in all.iter_mut().enumerate() {
        let Some(heard) = heard else { continue };
        sleep(LONG).await;
        heard.listen().await;
        stories += &heard.story;
        for peer in (0..3).filter(|&peer| peer != me) {
            assert_eq!(heard.up[peer], network.is_open(peer), "in the end each reaches those that are there");
        }
    }
    stories
}

/// What one start of an instance has heard.
struct Heard {
    links: Box<dyn Links>,
    up: [bool; 3],
    last: [[u64; 3]; 3],
    story: String,
}

impl Heard {
    fn new(links: Box<dyn Links>) -> Self {
        Self { links, up: [false; 3], last: [[0; 3]; 3], story: String::new() }
    }

    async fn listen(&mut self) {
        while let Ok(Ok(event)) = timeout(Duration::ZERO, self.links.next()).await {
            self.story += &format!("{event:?}\n");
            match event {
                LinkEvent::Up(hello) => self.up[hello.instance] = true,
                LinkEvent::Down { peer, .. } => assert!(std::mem::take(&mut self.up[peer]), "it was up"),
                LinkEvent::Frame { peer, lane, frame } => {
                    assert!(self.up[peer], "frames come over links that are up");
                    let lane = LANES.iter().position(|&one| one == lane).expect("one of them");
                    let last = &mut self.last[peer][lane];
                    assert!(number(&frame) >= *last, "a lane keeps its order");
                    *last = number(&frame);
                }
                LinkEvent::Unreached { why, .. } => panic!("a simulated network refuses nobody: {why}"),
            }
        }
    }
}
