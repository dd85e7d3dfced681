namespace Shinano.SavedState;

/// <summary>A saved domain cannot be read.</summary>
public sealed class SavedStateException(SavedStateError error, string message) : Exception(message)
{
    public SavedStateError Error { get; } = error;
}
