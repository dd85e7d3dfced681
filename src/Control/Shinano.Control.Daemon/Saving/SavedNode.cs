namespace Shinano.Control.Daemon.Saving;

/// <summary>A node of a saved domain's home in xenstore.</summary>
/// <param name="Path">Below the home, e.g. "device/vif/0/state"; empty for the home itself.</param>
/// <param name="Value">As in the store; JSON has it in base64.</param>
/// <param name="Permissions">Each as xenstore writes it, e.g. "n5"; the first names the owner.</param>
internal sealed record SavedNode(string Path, byte[] Value, IReadOnlyList<string> Permissions);
