"""What `suites.report` puts into its page: the data, and the page's own files."""
