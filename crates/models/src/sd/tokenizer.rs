//! CLIP's tokenizer: byte-level BPE on lower-case words, padded to the encoder's length.

use super::config::ClipConfig;
use super::special_tokens::SpecialTokens;
use crate::ModelError;
use crate::json::read_json_if_any;
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
    /// Reads a tokenizer folder: `tokenizer.json`, or `vocab.json` with `merges.txt`. Where they are there,
    /// `tokenizer_config.json` says how long prompts are, at most the encoder's length, and it, `special_tokens_map.json` and
    /// `added_tokens.json` which tokens stand around them.
    ///
    /// # Errors
    /// Unreadable files, special tokens that the vocabulary lacks, or tokens that the encoder does not know.
    pub fn read(folder: &Path, encoder: &ClipConfig) -> Result<Self, ModelError> {
        let config = read_json_if_any(&folder.join("tokenizer_config.json"))?;
        let special = SpecialTokens::read(folder, &config)?;
        let whole = folder.join("tokenizer.json");
        let mut tokenizer = if whole.is_file() { from_whole(&whole)? } else { from_vocabulary(folder, &special)? };
        special.add_to(&mut tokenizer).map_err(|reason| ModelError::file(folder, reason))?;
        let id = |token: &AddedToken| tokenizer.token_to_id(&token.content).unwrap_or_default();
        let [start, end, pad] = [&special.start, &special.end, &special.pad].map(id);
        if !whole.is_file() {
            let (start, end) = ((special.start.content, start), (special.end.content, end));
            let frame = RobertaProcessing::new(end, start).trim_offsets(false).add_prefix_space(false);
            tokenizer.with_post_processor(Some(frame));
        }
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

fn from_whole(path: &Path) -> Result<Tokenizer, ModelError> {
    let mut tokenizer = Tokenizer::from_file(path).map_err(|e| ModelError::file(path, e))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| ModelError::file(path, e))?;
    Ok(tokenizer)
}

fn from_vocabulary(folder: &Path, special: &SpecialTokens) -> Result<Tokenizer, ModelError> {
    let bad = |e: tokenizers::Error| ModelError::file(folder.join("vocab.json"), format!("{e} (with merges.txt)"));
    let (vocab, merges) = (folder.join("vocab.json"), folder.join("merges.txt"));
    let bpe = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
        .unk_token(special.unknown.content.clone())
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
    Ok(tokenizer)
}
