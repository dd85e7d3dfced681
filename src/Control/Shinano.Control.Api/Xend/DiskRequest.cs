namespace Shinano.Control.Api.Xend;

/// <summary>Attach a disk, or change one.</summary>
/// <param name="Disk">As in the configuration's <c>disk</c>.</param>
/// <param name="WorkingDirectory">What a relative path in it is relative to.</param>
public sealed record DiskRequest(string Disk, string WorkingDirectory);
