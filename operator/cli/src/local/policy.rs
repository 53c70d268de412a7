//! `-f`: the one policy of a file.

use std::path::Path;

use llmcache_operator::validate::{Validated, Warning, load};

use crate::failure::Failure;
use crate::input;

/// The policy with its warnings; fails with everything wrong with it.
pub(crate) fn read(path: &Path) -> Result<(Validated, Vec<Warning>), Failure> {
    let file = path.display();
    let text = input::read(path).map_err(Failure::usage)?;
    let loaded = load(&text)
        .map_err(|problems| Failure::Problems(problems.iter().map(|problem| format!("{file}: {problem}")).collect()))?;
    let mut policies = loaded.policies.into_iter();
    let (Some(policy), None) = (policies.next(), policies.next()) else {
        let line = format!("{file}: holds more than one policy; give a file of one");
        return Err(Failure::Problems(vec![line]));
    };
    Ok(policy)
}
