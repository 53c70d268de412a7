//! In which order questions come.

use sha2::{Digest, Sha256};

use super::Question;

/// Most questions of one intent in a row.
const BURST: usize = 20;

/// In which order questions come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Each as likely as any other.
    Random,
    /// Up to twenty of one intent in a row, as in an outage.
    Bursts,
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Bursts => "bursts",
        }
    }

    /// The same order in every run.
    pub(super) fn of(self, questions: &[Question]) -> Vec<Question> {
        let mut shuffled = questions.to_vec();
        shuffled.sort_by_cached_key(|question| lot(&question.text));
        if self == Self::Random {
            return shuffled;
        }
        shuffled.sort_by(|one, other| one.intent.cmp(&other.intent));
        let of_one_intent = shuffled.chunk_by(|one, other| one.intent == other.intent);
        let mut bursts: Vec<&[Question]> = of_one_intent.flat_map(|chunk| chunk.chunks(BURST)).collect();
        bursts.sort_by_cached_key(|burst| lot(&burst[0].text));
        bursts.concat()
    }
}

fn lot(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_every_question_once_and_bursts_come_in_rows() {
        let questions: Vec<Question> = (0..200)
            .map(|n| Question {
                text: format!("q{n}"),
                intent: format!("i{}", n % 4),
            })
            .collect();
        let texts = |order: Order| {
            let mut texts: Vec<String> = order.of(&questions).into_iter().map(|one| one.text).collect();
            texts.sort();
            texts
        };
        assert_eq!(texts(Order::Random), texts(Order::Bursts));
        let changes = |order: Order| {
            order
                .of(&questions)
                .windows(2)
                .filter(|two| two[0].intent != two[1].intent)
                .count()
        };
        assert!(changes(Order::Bursts) < 12 && changes(Order::Random) > 100);
    }
}
