//! [`UdpProxy`]: stands between two UDP sockets, and does to their packets what networks do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// Longer than any packet.
const MAX_PACKET: usize = 64 << 10;
/// Packets that a flow may have on their way back within the proxy.
const ON_THEIR_WAY: usize = 1024;

/// What is done to packets. Shares are 0 to 1 of all packets; by default nothing is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// The same seed makes the same decisions for the same sequence of packets.
    pub seed: u64,
    /// Each packet takes at least so long. Packets that take the same time keep their order.
    pub delay: Duration,
    /// And at most so much longer, by chance: those that take longer come behind those that don't.
    pub jitter: Duration,
    /// The share that is lost.
    pub loss: f64,
    /// The share that is held back for [`late`](Self::late), and so comes behind what was sent after it.
    pub reorder: f64,
    /// How long those are held back. Default 5 ms.
    pub late: Duration,
    /// The share that comes twice.
    pub duplicate: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reorder: 0.0,
            late: Duration::from_millis(5),
            duplicate: 0.0,
        }
    }
}

/// What was done, in packets of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passed on, duplicates among them.
    pub passed: u64,
    /// Lost by chance, or because the system's buffer was full.
    pub lost: u64,
    /// Held back, so that others come first.
    pub reordered: u64,
    /// Passed on twice.
    pub duplicated: u64,
    /// Dropped while it was cut.
    pub cut: u64,
}

/// A proxy for UDP: whoever sends to it reaches one address behind it, and the answers come back. It delays, loses,
/// reorders and duplicates as told, can be cut and healed at any time, and counts what it did. It ends when it is
/// dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use millstream_net::testkit::{Faults, UdpProxy};
///
/// let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
/// let proxy = UdpProxy::start("127.0.0.1:0", server.local_addr()?, Faults::default()).await?;
/// let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
/// client.send_to(b"hello", proxy.address()).await?;
/// let (length, _) = server.recv_from(&mut [0; 16]).await?;
/// assert_eq!(length, 5);
/// assert_eq!(proxy.counts().lost, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl UdpProxy {
    /// Listens on an address (port 0: any that is free), and passes on to another.
    ///
    /// # Errors
    /// The address is not to be had.
    pub async fn start(listen: impl tokio::net::ToSocketAddrs, to: SocketAddr, faults: Faults) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind(listen).await?);
        front.writable().await?;
        let address = front.local_addr()?;
        let state = State { chance: Chance(faults.seed), faults, cut: false, counts: Counts::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let task = tokio::spawn(run(front, to, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does this to packets from now on.
    pub fn set(&self, faults: Faults) {
        let mut state = self.shared.lock();
        state.chance = Chance(faults.seed);
        state.faults = faults;
    }

    /// Lets nothing through, in both directions, until it is healed. What is on its way is lost too.
    pub fn cut(&self) {
        self.shared.lock().cut = true;
    }

    /// Lets packets through again.
    pub fn heal(&self) {
        self.shared.lock().cut = false;
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }
}

impl Drop for UdpProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    chance: Chance,
    cut: bool,
    counts: Counts,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long each copy of a packet takes; none: it is lost.
    fn decide(&mut self) -> Vec<Duration> {
        if self.cut {
            self.counts.cut += 1;
            return Vec::new();
        }
        // Each packet takes the same number of chances, so that one setting doesn't change what another does.
        let (loss, reorder, duplicate, jitter) =
            (self.chance.next(), self.chance.next(), self.chance.next(), self.chance.next());
        if loss < self.faults.loss {
            self.counts.lost += 1;
            return Vec::new();
        }
        let mut time = self.faults.delay + self.faults.jitter.mul_f64(jitter);
        if reorder < self.faults.reorder {
            self.counts.reordered += 1;
            time += self.faults.late;
        }
        if duplicate < self.faults.duplicate {
            self.counts.duplicated += 1;
            return vec![time, time];
        }
        vec![time]
    }

    /// A packet that was on its way arrives, unless it is cut or the system's buffer is full.
    fn arrives(&mut self, packet: &Packet) {
        if self.cut {
            self.counts.cut += 1;
        } else if packet.by.try_send_to(&packet.bytes, packet.to).is_ok() {
            self.counts.passed += 1;
        } else {
            self.counts.lost += 1;
        }
    }
}

/// Numbers that look like chance, the same for the same seed (SplitMix64, Steele et al. 2014).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// 0 to 1, without 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A packet on its way: by which socket it leaves, and where to.
struct Packet {
    due: Instant,
    /// Those that are due at the same time keep their order.
    number: u64,
    by: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Packet {}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Packet {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

/// The packets on their way, the next that is due first.
struct Road {
    shared: Arc<Shared>,
    packets: BinaryHeap<Reverse<Packet>>,
    number: u64,
}

impl Road {
    fn enter(&mut self, by: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        let times = self.shared.lock().decide();
        for time in times {
            self.number += 1;
            let (due, number) = (Instant::now() + time, self.number);
            self.packets.push(Reverse(Packet { due, number, by: by.clone(), to, bytes: bytes.to_vec() }));
        }
        self.leave();
    }

    /// Sends all that is due.
    fn leave(&mut self) {
        let now = Instant::now();
        while self.packets.peek().is_some_and(|Reverse(packet)| packet.due <= now) {
            let Some(Reverse(packet)) = self.packets.pop() else { return };
            self.shared.lock().arrives(&packet);
        }
    }

    async fn due(&self) {
        match self.packets.peek() {
            Some(Reverse(packet)) => sleep_until(packet.due).await,
            None => std::future::pending().await,
        }
    }
}

/// An answer: who it is for, and its bytes.
type Answer = (SocketAddr, Vec<u8>);

async fn run(front: Arc<UdpSocket>, to: SocketAddr, shared: Arc<Shared>) {
    let mut road = Road { shared, packets: BinaryHeap::new(), number: 0 };
    let (answers, mut answered) = mpsc::channel::<Answer>(ON_THEIR_WAY);
    let mut flows = Flows { to, known: BTreeMap::new(), readers: JoinSet::new(), answers };
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        tokio::select! {
            received = front.recv_from(&mut buffer) => {
                if let Ok((length, from)) = received
                    && let Ok(back) = flows.of(from).await
                {
                    road.enter(&back, to, &buffer[..length]);
                }
            }
            Some((from, bytes)) = answered.recv() => road.enter(&front, from, &bytes),
            () = road.due() => road.leave(),
        }
    }
}

/// A socket for each who sends, so that the answers find back.
struct Flows {
    to: SocketAddr,
    known: BTreeMap<SocketAddr, Arc<UdpSocket>>,
    readers: JoinSet<()>,
    answers: mpsc::Sender<Answer>,
}

impl Flows {
    async fn of(&mut self, from: SocketAddr) -> io::Result<Arc<UdpSocket>> {
        if let Some(socket) = self.known.get(&from) {
            return Ok(socket.clone());
        }
        let any = if self.to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = Arc::new(UdpSocket::bind(any).await?);
        // Or the first packet would not be sent: nothing is known of a new socket.
        socket.writable().await?;
        self.known.insert(from, socket.clone());
        self.readers.spawn(answers(socket.clone(), from, self.answers.clone()));
        Ok(socket)
    }
}

async fn answers(socket: Arc<UdpSocket>, from: SocketAddr, answers: mpsc::Sender<Answer>) {
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        // An error here is a packet that the other end refused, and no reason to end.
        if let Ok((length, _)) = socket.recv_from(&mut buffer).await
            && answers.send((from, buffer[..length].to_vec())).await.is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(faults: Faults) -> State {
        State { chance: Chance(faults.seed), faults, cut: false, counts: Counts::default() }
    }

    #[test]
    fn the_same_seed_decides_the_same() {
        let faults = Faults { seed: 7, loss: 0.2, duplicate: 0.1, reorder: 0.3, ..Faults::default() };
        let (mut one, mut other) = (state(faults.clone()), state(faults));
        let decided: Vec<_> = (0..500).map(|_| one.decide()).collect();
        assert_eq!(decided, (0..500).map(|_| other.decide()).collect::<Vec<_>>());
        assert_eq!(one.counts, other.counts);
        assert!(one.counts.lost > 50 && one.counts.duplicated > 20 && one.counts.reordered > 60, "{:?}", one.counts);
    }

    #[tokio::test]
    async fn the_first_packet_passes() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let proxy = UdpProxy::start("127.0.0.1:0", to, Faults::default()).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"first", proxy.address()).await.unwrap();
        let received = tokio::time::timeout(Duration::from_secs(60), server.recv_from(&mut [0; 16])).await;
        assert_eq!(received.expect("it comes").unwrap().0, 5);
        // It is counted by then or right after.
        while proxy.counts().passed == 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn packets_pass_both_ways_and_stop_while_it_is_cut() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let proxy = UdpProxy::start("127.0.0.1:0", to, Faults::default()).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(proxy.address()).await.unwrap();
        let mut buffer = [0; 16];
        proxy.cut();
        client.send(b"one").await.unwrap();
        while proxy.counts().cut == 0 {
            tokio::task::yield_now().await;
        }
        proxy.heal();
        client.send(b"two").await.unwrap();
        let (length, back) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"two");
        server.send_to(b"three", back).await.unwrap();
        let length = client.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"three");
        assert_eq!(proxy.counts(), Counts { passed: 2, cut: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn packets_of_the_same_delay_keep_their_order() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = server.local_addr().unwrap();
        let faults = Faults { delay: Duration::from_millis(3), ..Faults::default() };
        let proxy = UdpProxy::start("127.0.0.1:0", to, faults).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for number in 0..100_u8 {
            client.send_to(&[number], proxy.address()).await.unwrap();
        }
        for number in 0..100 {
            let mut buffer = [0];
            server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(buffer, [number]);
        }
    }
}
