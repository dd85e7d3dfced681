namespace Shinano.Cpu.Translator;

/// <summary>Why translated code returned to its dispatcher. RIP in the state is where to go on.</summary>
internal enum NativeExit : ulong
{
    /// <summary>Look the next block up; also after an attention request.</summary>
    Lookup,

    /// <summary>The instruction at RIP is for the interpreter.</summary>
    Interpret,

    /// <summary>The instruction at RIP reaches into the next page, whose mapping, with the argument's number, is not known to hold.</summary>
    NextPage,

    /// <summary>SYSCALL was executed; RIP is after it.</summary>
    Syscall,

    /// <summary>The return at ReturnRip went to RIP, which matches no call and is not in the jump cache.</summary>
    Return,
}
