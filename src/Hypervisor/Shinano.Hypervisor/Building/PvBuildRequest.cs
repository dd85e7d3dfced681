using Shinano.Hypervisor.Images;
using Shinano.XenAbi;

namespace Shinano.Hypervisor.Building;

/// <summary>What a PV domain starts with.</summary>
/// <param name="Kernel">The kernel, already checked for PV support.</param>
/// <param name="Ramdisk">First module; empty for none.</param>
/// <param name="CommandLine">Cut at 1023 bytes, as MAX_GUEST_CMDLINE says.</param>
/// <param name="Pages">Memory in 4 KiB pages.</param>
/// <param name="StorePort">The guest's end of xenstore's channel.</param>
/// <param name="ConsolePort">The guest's end of the console's channel.</param>
public sealed record PvBuildRequest(
    KernelImage Kernel, ReadOnlyMemory<byte> Ramdisk, string CommandLine, ulong Pages, EventPort StorePort, EventPort ConsolePort);
