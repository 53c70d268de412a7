//! Random histories by seed: never two leaders by true time, and one soon after the faults end.

use super::super::*;
use super::world::{Agenda, Call, Chance, Event, Process, Server};

const SECOND_US: u64 = 1_000_000;
const FAULTS_END_US: u64 = 180 * SECOND_US;
const END_US: u64 = 300 * SECOND_US;
/// Another's lease at the slowest clock, three calls that hang, and the retries between them.
const BOUND_US: u64 = 40 * SECOND_US;
const HISTORIES: u64 = 1500;

struct History {
    chance: Chance,
    server: Server,
    processes: Vec<Process>,
    calls: Vec<Call>,
    next_call: u64,
    agenda: Agenda,
    now_us: u64,
    led: Vec<bool>,
    changes_after_bound: u32,
    leaders: u32,
}

#[test]
fn two_never_lead_and_one_does_soon_after_the_faults_end() {
    let (mut leaders, mut lives) = (0, 0);
    for seed in 0..HISTORIES {
        let history = History::play(seed, 5);
        leaders += history.leaders;
        lives += history.processes.iter().map(|process| process.life).sum::<u64>();
    }
    assert!(
        u64::from(leaders) > 2 * HISTORIES,
        "the faults must unseat leaders; {leaders} rose"
    );
    assert!(lives > HISTORIES, "processes must die; {lives} did");
}

#[test]
#[should_panic(expected = "two lead")]
fn clocks_that_differ_by_more_than_the_margin_are_caught() {
    for seed in 0..HISTORIES {
        History::play(seed, 45);
    }
}

impl History {
    /// Plays one history in which the rates of clocks are off by up to so many percent.
    fn play(seed: u64, drift_percent: u64) -> Self {
        let mut chance = Chance::new(seed);
        let count = 2 + usize::try_from(chance.below(2)).unwrap();
        let drift = drift_percent * 10_000;
        let processes = (0..count).map(|index| Process {
            machine: new_machine(index, seed),
            rate: SECOND_US - drift + chance.below(2 * drift + 1),
            origin_us: chance.below(1000 * SECOND_US),
            wall_skew: i64::try_from(chance.below(1_000_000)).unwrap(),
            life: 0,
            is_cut_off: false,
            frozen_until_us: 0,
            waits_for: None,
        });
        let mut history = Self {
            processes: processes.collect(),
            chance,
            server: Server::default(),
            calls: Vec::new(),
            next_call: 0,
            agenda: Agenda::default(),
            now_us: 0,
            led: vec![false; count],
            changes_after_bound: 0,
            leaders: 0,
        };
        history.run(seed);
        history
    }

    fn run(&mut self, seed: u64) {
        for process in 0..self.processes.len() {
            let at = self.chance.below(3 * SECOND_US);
            self.agenda.add(at, Event::Wake { process, life: 0 });
        }
        self.agenda.add(5 * SECOND_US, Event::Fault);
        while let Some((now_us, event)) = self.agenda.next().filter(|(now_us, _)| *now_us < END_US) {
            self.now_us = now_us;
            match event {
                Event::Wake { process, life } => self.wake(process, life),
                Event::Arrive { process, life, call } => self.arrive(process, life, call),
                Event::Answered { process, life, call } => self.answered(process, life, call),
                Event::Fault => self.fault(seed),
            }
            self.check(seed);
        }
        let leading = (0..self.led.len()).filter(|index| self.led[*index]).count();
        assert_eq!(leading, 1, "seed {seed}: one leads at the end");
        assert!(
            self.changes_after_bound == 0,
            "seed {seed}: the leader stays once the faults are over"
        );
    }

    fn check(&mut self, seed: u64) {
        let leads: Vec<bool> = self.processes.iter().map(|it| it.leads(self.now_us)).collect();
        let leading = leads.iter().filter(|leads| **leads).count();
        assert!(leading < 2, "seed {seed}: two lead at {} µs", self.now_us);
        let is_settled = self.now_us > FAULTS_END_US + BOUND_US;
        assert!(!is_settled || leading == 1, "seed {seed}: nobody leads");
        if leads != self.led {
            self.leaders += u32::from(leading == 1);
            self.changes_after_bound += u32::from(is_settled && self.led.contains(&true));
            self.led = leads;
        }
    }

    fn wake(&mut self, index: usize, life: u64) {
        let process = &mut self.processes[index];
        if process.life != life || process.waits_for.is_some() {
            return;
        }
        if self.now_us < process.frozen_until_us {
            let wake = Event::Wake { process: index, life };
            return self.agenda.add(process.frozen_until_us, wake);
        }
        let (moment, wall) = (process.moment(self.now_us), process.wall(self.now_us));
        let action = process.machine.next(moment, wall);
        if let Action::Wait(until) = action {
            let at = process.true_us(until);
            return self.agenda.add(at, Event::Wake { process: index, life });
        }
        self.send(index, moment, action);
    }

    fn send(&mut self, index: usize, sent: Moment, action: Action) {
        let (id, process) = (self.next_call, &mut self.processes[index]);
        self.next_call += 1;
        process.waits_for = Some(id);
        let patience_ends = process.true_us(sent + Timing::default().call);
        let life = process.life;
        self.calls.push(Call {
            id,
            sent,
            action,
            answer: Answer::Failed,
        });
        let answered = Event::Answered {
            process: index,
            life,
            call: id,
        };
        self.agenda.add(patience_ends, answered);
        if !self.processes[index].is_cut_off && !self.is_lost() {
            let delay = self.delay();
            let arrive = Event::Arrive {
                process: index,
                life,
                call: id,
            };
            self.agenda.add(self.now_us + delay, arrive);
        }
    }

    /// The server acts even for a process that has died or given up meanwhile.
    fn arrive(&mut self, index: usize, life: u64, id: u64) {
        let Some(position) = self.calls.iter().position(|call| call.id == id) else {
            return;
        };
        let answer = self.server.take(&self.calls[position].action);
        if !self.processes[index].is_cut_off && !self.is_lost() {
            self.calls[position].answer = answer;
            let delay = self.delay();
            let answered = Event::Answered {
                process: index,
                life,
                call: id,
            };
            self.agenda.add(self.now_us + delay, answered);
        }
    }

    fn answered(&mut self, index: usize, life: u64, id: u64) {
        let process = &mut self.processes[index];
        if process.life != life || process.waits_for != Some(id) {
            return;
        }
        if self.now_us < process.frozen_until_us {
            let later = Event::Answered {
                process: index,
                life,
                call: id,
            };
            return self.agenda.add(process.frozen_until_us, later);
        }
        process.waits_for = None;
        let moment = process.moment(self.now_us);
        if let Some(call) = self.calls.iter().find(|call| call.id == id) {
            // An answer that is still on its way when patience ends is never heard.
            let is_heard = moment < call.sent + Timing::default().call;
            let answer = if is_heard { call.answer.clone() } else { Answer::Failed };
            process.machine.learn(call.sent, moment, answer);
        }
        self.wake(index, life);
    }

    fn fault(&mut self, seed: u64) {
        if self.now_us >= FAULTS_END_US {
            return self.processes.iter_mut().for_each(|process| process.is_cut_off = false);
        }
        let index = usize::try_from(self.chance.below(self.processes.len() as u64)).unwrap();
        match self.chance.below(5) {
            0 => self.processes[index].is_cut_off = true,
            1 => self.processes.iter_mut().for_each(|process| process.is_cut_off = false),
            2 => self.processes[index].frozen_until_us = self.now_us + self.chance.below(30 * SECOND_US),
            3 => self.restart(index, seed),
            _ => self.leave(index, seed),
        }
        let next = self.now_us + SECOND_US + self.chance.below(20 * SECOND_US);
        self.agenda.add(next.min(FAULTS_END_US), Event::Fault);
    }

    /// It dies without a word, and the next life has the same name.
    fn restart(&mut self, index: usize, seed: u64) {
        let process = &mut self.processes[index];
        process.life += 1;
        process.waits_for = None;
        process.frozen_until_us = 0;
        process.machine = new_machine(index, seed + process.life);
        let wake = Event::Wake {
            process: index,
            life: process.life,
        };
        let pause = self.chance.below(25 * SECOND_US);
        self.agenda.add(self.now_us + pause, wake);
    }

    /// It hands the Lease back, on a network that may lose or delay that, and starts again.
    fn leave(&mut self, index: usize, seed: u64) {
        let process = &mut self.processes[index];
        if self.now_us >= process.frozen_until_us {
            let (moment, wall) = (process.moment(self.now_us), process.wall(self.now_us));
            if let Some(release) = process.machine.release(wall) {
                self.send(index, moment, Action::Update(release));
            }
        }
        self.restart(index, seed);
    }

    fn is_lost(&mut self) -> bool {
        self.now_us < FAULTS_END_US && self.chance.one_in(12)
    }

    /// Mostly quick; while there are faults, now and then slower than any patience.
    fn delay(&mut self) -> u64 {
        if self.now_us < FAULTS_END_US && self.chance.one_in(10) {
            self.chance.below(20 * SECOND_US)
        } else {
            1000 + self.chance.below(200_000)
        }
    }
}

fn new_machine(index: usize, seed: u64) -> Machine {
    Machine::new(
        format!("process-{index}"),
        Timing::default(),
        seed * 31 + index as u64 + 1,
    )
}
