"""IPv6 readiness as the collector sees it: levels that stand, ratios against the policy, and the lists of failures."""
