"""Each step; never changed once it was released."""
