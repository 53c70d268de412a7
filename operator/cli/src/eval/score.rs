//! Which pairs are served from which similarity on, rightly or wrongly; pure.

use llmcache_sidecar::semantic::embedding::Vector;
use llmcache_sidecar::semantic::guards::{self, Guard, Question};

use super::pairs::Pair;

/// Thresholds of the tables, in hundredths.
const THRESHOLDS: [u8; 6] = [70, 75, 80, 85, 90, 95];

/// One pair, looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    is_same: bool,
    /// None when one of the two is too long to have a vector.
    cosine: Option<f32>,
    veto: Option<Guard>,
}

/// Pairs served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) right: u32,
    pub(super) wrong: u32,
}

/// What one threshold serves.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// In hundredths.
    pub(super) threshold: u8,
    pub(super) embedding: Served,
    pub(super) guarded: Served,
}

/// Pairs that a guard is the first to veto, whatever their similarity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Vetoes {
    pub(super) guard: Guard,
    pub(super) same: u32,
    pub(super) different: u32,
}

/// All counts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scores {
    /// Pairs labelled so, bypassed ones included.
    pub(super) same: u32,
    pub(super) different: u32,
    /// Pairs with a text that is too long; nobody serves those.
    pub(super) bypassed: u32,
    pub(super) steps: Vec<Step>,
    pub(super) vetoes: Vec<Vetoes>,
}

impl Served {
    pub(super) fn all(self) -> u32 {
        self.right + self.wrong
    }

    fn add(&mut self, is_right: bool) {
        *(if is_right { &mut self.right } else { &mut self.wrong }) += 1;
    }
}

/// Looks at a pair with the vectors of its texts.
pub(super) fn judge(pair: &Pair, a: Option<&Vector>, b: Option<&Vector>) -> Judged {
    Judged {
        is_same: pair.is_same,
        cosine: a.zip(b).map(|(a, b)| a.cosine(b)),
        veto: guards::veto(&Question::read(&pair.a), &Question::read(&pair.b)),
    }
}

/// Counts the pairs.
pub(super) fn count(judged: &[Judged]) -> Scores {
    let of = |wanted: &dyn Fn(&Judged) -> bool| {
        let count = judged.iter().filter(|pair| wanted(pair)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let vetoes =
        |guard, is_same| of(&|pair| pair.cosine.is_some() && pair.veto == Some(guard) && pair.is_same == is_same);
    Scores {
        same: of(&|pair| pair.is_same),
        different: of(&|pair| !pair.is_same),
        bypassed: of(&|pair| pair.cosine.is_none()),
        steps: THRESHOLDS.iter().map(|threshold| step(judged, *threshold)).collect(),
        vetoes: Guard::ALL
            .iter()
            .map(|guard| Vetoes {
                guard: *guard,
                same: vetoes(*guard, true),
                different: vetoes(*guard, false),
            })
            .collect(),
    }
}

fn step(judged: &[Judged], threshold: u8) -> Step {
    let (mut embedding, mut guarded) = (Served::default(), Served::default());
    let is_served = |pair: &&Judged| pair.cosine.is_some_and(|cosine| is_near(cosine, threshold));
    for pair in judged.iter().filter(is_served) {
        embedding.add(pair.is_same);
        if pair.veto.is_none() {
            guarded.add(pair.is_same);
        }
    }
    Step {
        threshold,
        embedding,
        guarded,
    }
}

/// As the index compares: in doubles.
fn is_near(cosine: f32, threshold: u8) -> bool {
    f64::from(cosine) * 100.0 >= f64::from(threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(is_same: bool, cosine: f32, veto: Option<Guard>) -> Judged {
        Judged {
            is_same,
            cosine: Some(cosine),
            veto,
        }
    }

    #[test]
    fn pairs_are_counted_by_threshold_and_label_with_and_without_guards() {
        let bypassed = Judged {
            cosine: None,
            ..pair(true, 0.0, Some(Guard::Negation))
        };
        let scores = count(&[
            pair(true, 1.0, None),
            pair(true, 0.76, Some(Guard::Numbers)),
            pair(false, 0.96, Some(Guard::Numbers)),
            pair(false, 0.8, None),
            pair(true, 0.5, None),
            bypassed,
        ]);
        assert_eq!((scores.same, scores.different, scores.bypassed), (4, 2, 1));
        let served = |right, wrong| Served { right, wrong };
        let steps: Vec<_> = scores
            .steps
            .iter()
            .map(|step| (step.threshold, step.embedding, step.guarded))
            .collect();
        assert_eq!(
            steps,
            [
                (70, served(2, 2), served(1, 1)),
                (75, served(2, 2), served(1, 1)),
                (80, served(1, 2), served(1, 1)),
                (85, served(1, 1), served(1, 0)),
                (90, served(1, 1), served(1, 0)),
                (95, served(1, 1), served(1, 0)),
            ]
        );
        let numbers = &scores.vetoes[0];
        assert_eq!((numbers.guard, numbers.same, numbers.different), (Guard::Numbers, 1, 1));
        assert!(
            scores.vetoes[1..]
                .iter()
                .all(|vetoes| vetoes.same + vetoes.different == 0)
        );
    }

    #[test]
    fn a_pair_is_judged_by_its_own_words() {
        let pair = Pair {
            a: "Is it safe?".into(),
            b: "Is it not safe?".into(),
            is_same: false,
        };
        let judged = judge(&pair, None, None);
        assert_eq!((judged.cosine, judged.veto), (None, Some(Guard::Negation)));
    }
}
