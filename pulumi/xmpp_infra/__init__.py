"""Components of the infrastructure: network, hosts, firewall, certificates, DNS; one implementation per platform."""
