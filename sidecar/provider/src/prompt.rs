//! The prompt in the order the provider renders it, cut where a prompt cache can be marked.
//!
//! Two requests share a provider's cached prefix when their texts share it, so the client's own marks are left out
//! and a string reads the same as the one text block it stands for.

use crate::json::{Document, NodeId, Order, write};
use crate::request::Leave;

/// Tools, system and messages in rendered order, values as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The rendered bytes; a prefix of them stands for a prefix of the prompt.
    pub text: Vec<u8>,
    /// Where a prefix may end, in order.
    pub blocks: Vec<Block>,
    /// Offset in `text` after the first user message; its length when there is none.
    pub first_user_end: usize,
    /// Marks the client placed on blocks; the top-level one is not among them.
    pub client_marks: usize,
    /// The client's top-level mark.
    pub top_level_mark: Option<Ttl>,
}

/// One tool, system block or content block (OpenAI: one list of tools, instructions, message or item).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Which part of the prompt it belongs to.
    pub level: Level,
    /// Its index in the list of tools, system blocks or messages.
    pub message: usize,
    /// Who speaks.
    pub role: Role,
    /// Offset in the text after this block.
    pub end: usize,
    /// The client's own mark here.
    pub mark: Option<Ttl>,
    /// Where a mark of ours may go.
    pub site: Site,
}

/// The parts of a prompt, in rendered order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Tool definitions.
    Tools,
    /// The system prompt or instructions.
    System,
    /// The conversation.
    Messages,
}

/// Who speaks in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nobody: tool definitions.
    None,
    /// The system or the developer.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// A tool's result, where that is a role of its own.
    Tool,
}

/// Where a mark of ours may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Into this existing block.
    Block(NodeId),
    /// This string would have to become a block first.
    String(NodeId),
    /// Nowhere.
    None,
}

/// How long a prompt-cache entry lives after its last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ttl {
    /// Five minutes, the provider's default.
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// Appends blocks to a prompt.
pub(crate) struct Builder<'a> {
    document: &'a Document,
    order: Order,
    prompt: Prompt,
    first_user: bool,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(document: &'a Document, order: Order) -> Self {
        Self {
            document,
            order,
            prompt: Prompt {
                text: Vec::with_capacity(document.bytes().len()),
                blocks: Vec::new(),
                first_user_end: 0,
                client_marks: 0,
                top_level_mark: None,
            },
            first_user: false,
        }
    }

    pub(crate) fn top_level_mark(&mut self, mark: Option<Ttl>) {
        self.prompt.top_level_mark = mark;
    }

    pub(crate) fn client_marks(&mut self, marks: usize) {
        self.prompt.client_marks += marks;
    }

    /// Begins a message, so that two messages never read as one of two blocks.
    pub(crate) fn message(&mut self) {
        self.prompt.text.push(b'\x1d');
    }

    /// Ends a message; remembers where the first user's ended.
    pub(crate) fn message_end(&mut self, role: Role) {
        if role == Role::User && !self.first_user {
            self.first_user = true;
            self.prompt.first_user_end = self.prompt.text.len();
        }
    }

    /// Appends one block, whose `end` is set here.
    pub(crate) fn block(&mut self, node: NodeId, leave: Leave, mut block: Block) {
        let text = &mut self.prompt.text;
        // Neither byte can stand inside a JSON value, so no content can imitate a boundary.
        text.extend([b'\x1e', b'0' + block.role as u8]);
        write(self.document, node, leave, self.order, &mut |bytes| {
            text.extend_from_slice(bytes);
        });
        block.end = text.len();
        self.prompt.blocks.push(block);
    }

    pub(crate) fn finish(mut self) -> Prompt {
        if !self.first_user {
            self.prompt.first_user_end = self.prompt.text.len();
        }
        self.prompt
    }
}
