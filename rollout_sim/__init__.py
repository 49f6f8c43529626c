"""Discrete-event simulation of rollouts of serverless functions.

Floors
------
A file imports only from lower floors; tests hold it.

    0  units, streams, errors, traces, clock
    1  aliases, distributions, arrivals, faults, strategies, metrics, slo
    2  function, traffic, specs, alarms, theory
    3  alarm_bank, document
    4  scenario_file
    5  scenario
    6  controller, planes/__init__, planes/counts, planes/draws, planes/environments
    7  planes/simpy_plane, plots
    8  result
    9  simulate, tables
    10  output
    11  cli
"""
