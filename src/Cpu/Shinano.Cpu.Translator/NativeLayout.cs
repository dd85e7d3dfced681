using System.Runtime.InteropServices;
using Iced.Intel;
using Shinano.Cpu.Interpreter;

namespace Shinano.Cpu.Translator;

/// <summary>Byte offsets of the fields of <see cref="NativeState"/>.</summary>
internal static unsafe class NativeLayout
{
    public static readonly int Rip;
    public static readonly int Rflags;
    public static readonly int FsBase;
    public static readonly int GsBase;
    public static readonly int TscOffset;
    public static readonly int TscAux;
    public static readonly int Xsave;
    public static readonly int Attention;
    public static readonly int Count;
    public static readonly int SavedFlags;
    public static readonly int ExitReason;
    public static readonly int ExitArgument;
    public static readonly int FoundCode;
    public static readonly int Temporary;
    public static readonly int ReturnRip;
    public static readonly int HostStack;
    public static readonly int CallStackBase;
    public static readonly int CallStackLimit;
    public static readonly int HostMxcsr;
    public static readonly int IndexMask;
    public static readonly int PageMask;
    public static readonly int ExitThunk;
    public static readonly int FillThunk;
    public static readonly int LoadVectorThunk;
    public static readonly int CurrentReturnThunk;
    public static readonly int FillFunction;
    public static readonly int Self;
    public static readonly int SizeMask;
    public static readonly int StackAddress;
    public static readonly int StackRequest;
    public static readonly int StackIndex;
    public static readonly int StackOffset;
    public static readonly int FillStack;
    public static readonly int Mask16;
    public static readonly int Mask32;
    public static readonly int UsedVector;
    public static readonly int UsedVex;
    public static readonly int Numbers;
    public static readonly int ValidMappings;
    private static readonly int Data;
    private static readonly int ReturnThunks;
    private static readonly int StackThunks;
    private static readonly int UngroupThunks;
    private static readonly int UngroupedCaches;
    private static readonly int StackWindows;
    private static readonly int Selectors;
    private static readonly int GroupAddends;
    private static readonly int JumpCaches;

    static NativeLayout()
    {
        // SAFETY: only addresses of fields are taken.
        NativeState* s = (NativeState*)NativeMemory.Alloc((nuint)sizeof(NativeState));
        int Of(void* field) => (int)((byte*)field - (byte*)s);
        CpuState* cpu = &s->Core.Cpu;
        Rip = Of(&cpu->Rip);
        Rflags = Of(&cpu->Rflags);
        FsBase = Of(&cpu->Fs.Base);
        GsBase = Of(&cpu->Gs.Base);
        TscOffset = Of(&cpu->TscOffset);
        TscAux = Of(&cpu->TscAux);
        Xsave = Of(cpu->Xsave);
        Attention = Of(&s->Core.Attention);
        Count = Of(&s->Core.Count);
        Data = Of(s->Core.Data);
        SavedFlags = Of(&s->SavedFlags);
        ExitReason = Of(&s->ExitReason);
        ExitArgument = Of(&s->ExitArgument);
        FoundCode = Of(&s->FoundCode);
        Temporary = Of(&s->Temporary);
        ReturnRip = Of(&s->ReturnRip);
        HostStack = Of(&s->HostStack);
        CallStackBase = Of(&s->CallStackBase);
        CallStackLimit = Of(&s->CallStackLimit);
        HostMxcsr = Of(&s->HostMxcsr);
        IndexMask = Of(&s->IndexMask);
        PageMask = Of(&s->PageMask);
        ExitThunk = Of(&s->ExitThunk);
        ReturnThunks = Of(s->ReturnThunks);
        FillThunk = Of(&s->FillThunk);
        LoadVectorThunk = Of(&s->LoadVectorThunk);
        CurrentReturnThunk = Of(&s->CurrentReturnThunk);
        FillFunction = Of(&s->FillFunction);
        Self = Of(&s->Self);
        SizeMask = Of(&s->SizeMask);
        StackThunks = Of(s->StackThunks);
        UngroupThunks = Of(s->UngroupThunks);
        UngroupedCaches = Of(s->UngroupedCache);
        StackAddress = Of(&s->StackAddress);
        StackRequest = Of(&s->StackRequest);
        StackIndex = Of(&s->StackIndex);
        StackOffset = Of(&s->StackOffset);
        FillStack = Of(&s->FillStack);
        Mask16 = Of(&s->Mask16);
        Mask32 = Of(&s->Mask32);
        StackWindows = Of(s->StackWindow);
        Selectors = Of(&cpu->Es.Selector);
        GroupAddends = Of(s->GroupAddends);
        UsedVector = Of(&s->UsedVector);
        UsedVex = Of(&s->UsedVex);
        Numbers = Of(s->Numbers);
        JumpCaches = Of(s->JumpCache);
        ValidMappings = Of(s->ValidMappings);
        NativeMemory.Free(s);
    }

    /// <summary>A general register's place in the state.</summary>
    public static int Gpr(int number) => number * 8;

    /// <summary>A context's table for reads or for writes.</summary>
    public static int Table(int context, bool write) => Data + (((context * 2) + (write ? 1 : 0)) * Core.TableBytes);

    public static int StackWindow(int context) => StackWindows + (context * 16);

    public static int GroupAddend(int group) => GroupAddends + (group * 8);

    /// <summary>ES to GS are in the encoding's order.</summary>
    public static int Selector(Register segment) => Selectors + ((segment - Register.ES) * sizeof(SegmentRegister));

    public static int ReturnThunk(int context) => ReturnThunks + (context * 8);

    public static int StackThunk(int context) => StackThunks + (context * 8);

    public static int UngroupThunk(int context) => UngroupThunks + (context * 8);

    public static int UngroupedCache(int context) => UngroupedCaches + (context * 16 * NativeState.UngroupedEntries);

    public static int JumpCache(int context) => JumpCaches + (context * 16 * NativeState.JumpEntries);
}
