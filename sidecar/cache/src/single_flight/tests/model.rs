//! Random histories against a model that remembers everything a leader passed on.

use proptest::prelude::*;

use super::*;

const BODY: usize = 8;
const OPEN: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Begin(usize),
    Close(usize),
    Finish(usize),
    Join(u8),
    Leave(usize),
    Lose(usize),
    Push(usize, Vec<u8>),
    Read(usize),
    Refuse(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Flying,
    Finished,
    Lost(Lost),
}

struct Lead {
    leader: Option<Leader<u32, usize>>,
    key: u8,
    is_joinable: bool,
    has_begun: bool,
    chunks: Vec<Vec<u8>>,
    fate: Fate,
}

struct Seat {
    follower: Follower<u32, usize>,
    lead: usize,
    read: usize,
    was_far_behind: bool,
}

struct World {
    flights: Flights<u32, usize>,
    leads: Vec<Lead>,
    seats: Vec<Seat>,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            flights: OPEN,
            body_bytes: BODY,
            total_bytes: 1 << 20,
        };
        Self {
            flights: Flights::new(limits),
            leads: Vec::new(),
            seats: Vec::new(),
        }
    }

    fn joinable(&self, key: u8) -> Option<usize> {
        let mut found = self
            .leads
            .iter()
            .enumerate()
            .filter(|(_, lead)| lead.key == key && lead.is_joinable);
        let first = found.next().map(|(n, _)| n);
        assert!(found.next().is_none(), "two leaders for one key can be joined");
        first
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Join(key) => self.join(key),
            Step::Read(n) => self.on_seat(n, |seat, leads| read(seat, &leads[seat.lead])),
            Step::Leave(n) if !self.seats.is_empty() => {
                let n = n % self.seats.len();
                self.seats.swap_remove(n);
            }
            Step::Leave(_) => {}
            Step::Begin(n) => self.on_lead(n, |lead, n| {
                lead.leader.as_ref().unwrap().begin(u32::try_from(n).unwrap());
                lead.has_begun = true;
            }),
            Step::Close(n) => self.on_lead(n, |lead, _| {
                lead.leader.as_ref().unwrap().no_more_followers();
                lead.is_joinable = false;
            }),
            Step::Finish(n) => self.on_lead(n, |lead, n| {
                lead.leader.take().unwrap().finish(Some(Arc::new(n)));
                (lead.fate, lead.is_joinable) = (Fate::Finished, false);
            }),
            Step::Lose(n) => self.on_lead(n, |lead, _| {
                lead.leader = None;
                (lead.fate, lead.is_joinable) = (Fate::Lost(Lost::Leader), false);
            }),
            Step::Refuse(n) => self.on_lead(n, |lead, _| {
                lead.leader.take().unwrap().refuse();
                (lead.fate, lead.is_joinable) = (Fate::Lost(Lost::Unshared), false);
            }),
            Step::Push(n, chunk) => self.push(n, chunk),
        }
    }

    fn join(&mut self, key: u8) {
        let expected = self.joinable(key);
        let is_room = self.leads.iter().filter(|lead| lead.is_joinable).count() < OPEN;
        match (self.flights.join(super::key(key)), expected) {
            (Role::Follow(follower), Some(lead)) => {
                self.seats.push(Seat {
                    follower,
                    lead,
                    read: 0,
                    was_far_behind: false,
                });
            }
            (Role::Lead(leader), None) => self.leads.push(Lead {
                leader: Some(leader),
                key,
                is_joinable: is_room,
                has_begun: false,
                chunks: Vec::new(),
                fate: Fate::Flying,
            }),
            (Role::Follow(_), None) => panic!("followed a flight that had closed"),
            (Role::Lead(_), Some(_)) => panic!("led while another leader could be joined"),
        }
    }

    fn push(&mut self, n: usize, chunk: Vec<u8>) {
        self.on_lead(n, |lead, _| {
            lead.leader.as_ref().unwrap().push(Bytes::from(chunk.clone()));
            lead.chunks.extend((!chunk.is_empty()).then_some(chunk));
            lead.is_joinable &= lead.chunks.concat().len() <= BODY;
        });
        for seat in &mut self.seats {
            seat.was_far_behind |= self.leads[seat.lead].chunks[seat.read..].concat().len() > 4 * BODY;
        }
    }

    fn on_lead(&mut self, n: usize, act: impl FnOnce(&mut Lead, usize)) {
        let flying: Vec<usize> = (0..self.leads.len())
            .filter(|n| self.leads[*n].leader.is_some())
            .collect();
        if !flying.is_empty() {
            let n = flying[n % flying.len()];
            act(&mut self.leads[n], n);
        }
    }

    fn on_seat(&mut self, n: usize, act: impl FnOnce(&mut Seat, &[Lead])) {
        let count = self.seats.len();
        if count > 0 {
            act(&mut self.seats[n % count], &self.leads);
        }
    }
}

fn read(seat: &mut Seat, lead: &Lead) {
    let is_all_read = seat.read == lead.chunks.len();
    match poll(&mut seat.follower) {
        Poll::Ready(Some(Ok(chunk))) => {
            assert_eq!(
                chunk, lead.chunks[seat.read],
                "a byte that the leader did not pass on here"
            );
            seat.read += 1;
        }
        Poll::Ready(Some(Err(Lost::Behind))) => {
            assert!(seat.was_far_behind, "cut off though it kept up");
            seat.read = lead.chunks.len();
        }
        Poll::Ready(Some(Err(lost))) => assert_eq!((is_all_read, lead.fate), (true, Fate::Lost(lost))),
        Poll::Ready(None) => assert!(seat.was_far_behind || is_all_read && lead.fate != Fate::Flying),
        Poll::Pending => assert_eq!((is_all_read, lead.fate), (true, Fate::Flying)),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0_usize..6;
    prop_oneof![
        4 => (0_u8..3).prop_map(Step::Join),
        6 => (n.clone(), proptest::collection::vec(any::<u8>(), 0..5)).prop_map(|(n, chunk)| Step::Push(n, chunk)),
        6 => n.clone().prop_map(Step::Read),
        1 => n.clone().prop_map(Step::Begin),
        1 => n.clone().prop_map(Step::Close),
        1 => n.clone().prop_map(Step::Finish),
        1 => n.clone().prop_map(Step::Leave),
        1 => n.clone().prop_map(Step::Lose),
        1 => n.prop_map(Step::Refuse),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn every_follower_sees_exact_bytes_or_is_lost(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            for (n, lead) in world.leads.iter().enumerate() {
                let seats = world.seats.iter().filter(|seat| seat.lead == n && !seat.was_far_behind).count();
                prop_assert!(lead.leader.as_ref().is_none_or(|leader| leader.followers() >= seats));
            }
        }
        while world.leads.iter().any(|lead| lead.leader.is_some()) {
            world.step(Step::Finish(0));
        }
        for seat in &mut world.seats {
            let lead = &world.leads[seat.lead];
            let head = std::pin::pin!(seat.follower.head()).poll(&mut Context::from_waker(Waker::noop()));
            if !seat.was_far_behind {
                prop_assert_eq!(matches!(head, Poll::Ready(Ok(_))), lead.has_begun && lead.fate == Fate::Finished);
            }
            for _ in seat.read..=lead.chunks.len() {
                read(seat, lead);
            }
            prop_assert_eq!(poll(&mut seat.follower), Poll::Ready(None));
        }
        world.seats.clear();
        prop_assert_eq!((world.flights.held_bytes(), world.flights.len()), (0, 0));
    }
}
