//! `--prices`: own prices over the shipped ones.

use std::path::Path;

use llmcache_sidecar::account::prices::PriceTable;

use crate::failure::Failure;
use crate::input;

/// The shipped prices with the rows of a file; fails with everything wrong with the file.
pub(crate) fn read(file: Option<&Path>) -> Result<PriceTable, Failure> {
    let builtin = PriceTable::builtin();
    let Some(file) = file else {
        return Ok(builtin);
    };
    let text = input::read(file).map_err(|problem| Failure::usage(format!("--prices: {problem}")))?;
    builtin.with_overrides(&text).map_err(|problems| {
        let name = file.display();
        Failure::Usage(
            problems
                .iter()
                .map(|problem| format!("--prices: {name}: {problem}"))
                .collect(),
        )
    })
}
