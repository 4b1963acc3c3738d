"""Ground costs: what moving a unit of mass from x to y costs."""
