"""The pages of labelers, reviewers and those who run queues."""
