//! The models against what diffusers, transformers and peft compute (`goldens/generate.py`), and on damaged files.

mod golden;
mod loading;
mod parity;
mod peft;
mod tokenizer;
