//! OpenAI Embeddings: judges an answer as a whole; its vectors are read one by one in `crate::embeddings`.

use bytes::Bytes;

use super::{Answer, Finish, NotAnswer};
use crate::embeddings::Envelope;
use crate::usage::{Billing, Usage};

pub(super) fn judge(body: Bytes) -> Result<Answer, NotAnswer> {
    let envelope = Envelope::read(&body)?;
    Ok(Answer {
        usage: Usage {
            input: envelope.tokens.unwrap_or_default(),
            ..Usage::default()
        },
        billing: Billing::default(),
        model: envelope.model,
        finish: Finish::Complete,
        has_thinking: false,
        has_tool_calls: false,
        body,
    })
}
