using Shinano.Control.Api.Domains.Devices;

namespace Shinano.Control.Daemon.Devices;

/// <summary>Where a volume is.</summary>
/// <param name="Path">File or device.</param>
/// <param name="Format">Its format.</param>
/// <param name="ReadOnly">A snapshot, or a volume that may not be written.</param>
internal sealed record VolumePlace(string Path, DiskImageFormat Format, bool ReadOnly);
