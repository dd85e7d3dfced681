namespace Shinano.Control.Api.Domains;

/// <summary>What was saved of a domain.</summary>
/// <param name="Path">The file.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="Pages">4 KiB pages of the guest in it: those that hold anything but zeros.</param>
public sealed record SaveResult(string Path, long Bytes, long Pages);
