namespace Shinano.Cpu.Interpreter.Tests.Differential;

/// <summary>Access to the last data page; values are those of HostOracle.c.</summary>
internal enum LastPage
{
    Absent = 0,
    ReadOnly = 1,
    Writable = 2,
}
