"""Opening one upstream for a hold."""
