using Shinano.XenAbi;

namespace Shinano.Hypervisor.Building;

/// <summary>Where a PV domain starts and where its rings are.</summary>
/// <param name="Entry">RIP.</param>
/// <param name="StartInfo">Guest-virtual address of start_info, for RSI.</param>
/// <param name="StackTop">RSP.</param>
/// <param name="Root">Machine frame of the L4 table, pinned.</param>
public sealed record PvBuildResult(ulong Entry, ulong StartInfo, ulong StackTop, Mfn Root, Mfn StoreRing, Mfn ConsoleRing);
