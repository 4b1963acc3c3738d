"""Transport between measures of any mass, whose marginals are penalised and not prescribed."""
