"""Every route that the description of the interface tells of."""

from collector.api.routes import agents, alerts, inventory, ipv6, registry, scans, service

ROUTES = [
    *agents.ROUTES,
    *registry.ROUTES,
    *inventory.ROUTES,
    *ipv6.ROUTES,
    *alerts.ROUTES,
    *scans.ROUTES,
    *service.ROUTES,
]
