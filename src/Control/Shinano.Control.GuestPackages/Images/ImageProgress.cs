namespace Shinano.Control.GuestPackages.Images;

/// <summary>A step on the way to an image.</summary>
/// <param name="Step">What is being done, in a word.</param>
/// <param name="Detail">A line for people.</param>
/// <param name="Percent">How much of this step is done; negative while unknown.</param>
public readonly record struct ImageProgress(string Step, string Detail, double Percent);
