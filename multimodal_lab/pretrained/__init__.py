"""What others have trained and published: models in directories or the user's Hugging Face cache, as transformers saves them."""
