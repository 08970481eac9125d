//! CLIP's tokenizer: byte-level BPE on lower-case words, padded to the encoder's length.

use super::config::{ClipConfig, read_json};
use crate::ModelError;
use serde_json::Value;
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::{Replace, ReplacePattern};
use tokenizers::normalizers::{Lowercase, NFC, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// CLIP's words: letters, single digits, runs of signs, and the endings of English.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Prompts to token ids.
#[derive(Debug, Clone)]
pub struct ClipTokenizer {
    tokenizer: Tokenizer,
    end: u32,
    pad: u32,
    length: usize,
}

impl ClipTokenizer {
    /// Reads a tokenizer folder: `tokenizer.json`, or `vocab.json` with `merges.txt`; `tokenizer_config.json` says what
    /// prompts are padded with, and to what length, at most the encoder's.
    ///
    /// # Errors
    /// Unreadable files, special tokens that the vocabulary lacks, or tokens that the encoder does not know.
    pub fn read(folder: &Path, encoder: &ClipConfig) -> Result<Self, ModelError> {
        let whole = folder.join("tokenizer.json");
        let tokenizer = if whole.is_file() {
            let mut tokenizer = Tokenizer::from_file(&whole).map_err(|e| ModelError::file(&whole, e))?;
            tokenizer.with_padding(None);
            tokenizer.with_truncation(None).map_err(|e| ModelError::file(&whole, e))?;
            tokenizer
        } else {
            from_vocabulary(folder)?
        };
        let config_path = folder.join("tokenizer_config.json");
        let config = if config_path.is_file() { read_json(&config_path)? } else { Value::Null };
        let special = |field: &str| {
            let token = token_text(config.get(field)).unwrap_or("<|endoftext|>").to_owned();
            tokenizer
                .token_to_id(&token)
                .ok_or_else(|| ModelError::file(&config_path, format!("{field} {token} is not in the vocabulary")))
        };
        let (end, pad) = (special("eos_token")?, special("pad_token")?);
        let largest = tokenizer.get_vocab(true).into_values().max().unwrap_or_default() as usize;
        if largest >= encoder.vocab_size {
            let reason = format!("has the token id {largest}, but the text encoder knows only {}", encoder.vocab_size);
            return Err(ModelError::file(folder, reason));
        }
        let length = encoder.max_position_embeddings;
        let own = config.get("model_max_length").and_then(Value::as_f64).map_or(length, |l| l as usize);
        Ok(Self { end, pad, length: own.clamp(1, length), tokenizer })
    }

    /// The prompt's ids with start and end, cut and padded to [`ClipTokenizer::length`].
    ///
    /// # Errors
    /// A prompt with characters that the vocabulary cannot express.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>, ModelError> {
        let encoded =
            self.tokenizer.encode(prompt, true).map_err(|e| ModelError::file(Path::new("prompt"), e.to_string()))?;
        let mut ids = encoded.get_ids().to_vec();
        if ids.len() > self.length {
            ids.truncate(self.length);
            ids[self.length - 1] = self.end;
        }
        ids.resize(self.length, self.pad);
        Ok(ids)
    }

    /// Tokens of every encoded prompt.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// A special token, written as text or as an object with `content`.
fn token_text(value: Option<&Value>) -> Option<&str> {
    let value = value?;
    value.as_str().or_else(|| value.get("content").and_then(Value::as_str))
}

fn from_vocabulary(folder: &Path) -> Result<Tokenizer, ModelError> {
    let bad = |e: tokenizers::Error| ModelError::file(folder.join("vocab.json"), format!("{e} (with merges.txt)"));
    let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let bpe = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
        .unk_token("<|endoftext|>".to_owned())
        .end_of_word_suffix("</w>".to_owned())
        .build()
        .map_err(bad)?;
    let mut tokenizer = Tokenizer::new(bpe);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(bad)?;
    let normalizers = Normalizers::new(vec![NFC.into(), spaces.into(), Lowercase.into()]);
    tokenizer.with_normalizer(Some(normalizers)).map_err(bad)?;
    let words = SplitPattern::Regex(WORDS.to_owned());
    let words = Split::new(words, SplitDelimiterBehavior::Removed, true).map_err(bad)?;
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![words.into(), bytes.into()])));
    let marks = ["<|startoftext|>", "<|endoftext|>"];
    tokenizer.add_special_tokens(marks.map(|mark| AddedToken::from(mark, true))).map_err(bad)?;
    let [start, end] = marks.map(|mark| (mark.to_owned(), tokenizer.token_to_id(mark).unwrap_or_default()));
    let frame = RobertaProcessing::new(end, start).trim_offsets(false).add_prefix_space(false);
    tokenizer.with_post_processor(Some(frame));
    Ok(tokenizer)
}
