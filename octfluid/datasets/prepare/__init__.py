"""What the converters do: from published data, a user's folders or nothing to a prepared data set."""
