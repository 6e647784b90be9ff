"""How fast this machine is: loads played on targets, figures side by side."""
