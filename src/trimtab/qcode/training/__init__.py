"""Post-training on executed programs: SFT and GRPO through TRL."""
