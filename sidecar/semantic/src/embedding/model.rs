//! The model itself, opened from its folder and run in this process.

use std::path::Path;

use fastembed::{InitOptionsUserDefined, Pooling, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel};
use ort::environment::Environment;
use parking_lot::Mutex;
use thiserror::Error;

use super::files::{self, ModelError};
use super::{MOST_BYTES, MOST_TOKENS, Space, Vector};

/// ONNX Runtime allows one environment a process, kept for as long as that lives.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// all-MiniLM-L6-v2 in 8-bit blocks.
pub struct Model {
    inner: TextEmbedding,
    space: Space,
}

/// Why a text has no vector.
#[derive(Debug, Error)]
pub enum TextError {
    /// It has over 128 tokens or over 4,096 bytes.
    #[error("the text is over {MOST_TOKENS} tokens")]
    TooLong,
    /// The model failed on it.
    #[error("the model failed: {0}")]
    Failed(String),
}

impl Model {
    /// Checks every file of the folder, then loads ONNX Runtime and the model; fails with what to do about it.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        let tokenizer = TokenizerFiles {
            tokenizer_file: files::read(folder, "tokenizer.json")?,
            config_file: files::read(folder, "config.json")?,
            special_tokens_map_file: files::read(folder, "special_tokens_map.json")?,
            tokenizer_config_file: files::read(folder, "tokenizer_config.json")?,
        };
        let model = files::read(folder, files::MODEL)?;
        let environment = environment(folder)?;
        let options = InitOptionsUserDefined::new()
            .with_environment(environment)
            // One token more, to see that there are more.
            .with_max_length(MOST_TOKENS + 1)
            .with_intra_threads(1);
        let model = UserDefinedEmbeddingModel::new(model, tokenizer).with_pooling(Pooling::Mean);
        let inner = TextEmbedding::try_new_from_user_defined(model, options).map_err(|reason| ModelError::Refused {
            file: folder.join(files::MODEL),
            reason: reason.to_string(),
        })?;
        Ok(Self {
            inner,
            space: Space::known(),
        })
    }

    /// The space its vectors are in.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The vector of a text; fails for one that is too long, or when the model does.
    pub fn embed(&mut self, text: &str) -> Result<Vector, TextError> {
        if text.len() > MOST_BYTES || self.tokens(text)? > MOST_TOKENS {
            return Err(TextError::TooLong);
        }
        let vectors = self.inner.embed([text], None).map_err(|error| failed(&error))?;
        let numbers = vectors.first().map(Vec::as_slice).unwrap_or_default();
        Vector::new(numbers).ok_or_else(|| TextError::Failed("its output is no vector".to_owned()))
    }

    fn tokens(&self, text: &str) -> Result<usize, TextError> {
        let encoding = self
            .inner
            .tokenizer
            .encode(text, true)
            .map_err(|error| failed(&error))?;
        Ok(encoding.len())
    }
}

/// The library is loaded by path first: `fastembed` alone would panic where it is missing or too old.
fn environment(folder: &Path) -> Result<Environment, ModelError> {
    let file = files::checked(folder, files::RUNTIME)?;
    let mut kept = ENVIRONMENT.lock();
    if let Some(environment) = kept.as_ref() {
        return Ok(environment.clone());
    }
    let refused = |reason: String| ModelError::Runtime {
        file: file.clone(),
        reason,
    };
    let path = std::path::absolute(&file).map_err(|reason| refused(reason.to_string()))?;
    let builder = ort::init_from(path).map_err(|reason| refused(reason.to_string()))?;
    let environment = builder
        .with_name("llmcache")
        .with_telemetry(false)
        .build()
        .map_err(|reason| refused(reason.to_string()))?;
    Ok(kept.insert(environment).clone())
}

fn failed(reason: &impl ToString) -> TextError {
    TextError::Failed(reason.to_string())
}
