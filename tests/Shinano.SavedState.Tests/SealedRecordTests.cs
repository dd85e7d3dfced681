namespace Shinano.SavedState.Tests;

/// <summary>Small files of one piece: their bytes, and every file that is not quite one.</summary>
public sealed class SealedRecordTests
{
    /// <summary>Frozen: a change of these bytes is a new version of each format that has them.</summary>
    private const string Frozen = "4C455454455253210300000002000000" + "7B7D" + "A2C3D55B";

    private static readonly byte[] Letters = "LETTERS!"u8.ToArray();

    private static byte[] Whole => SealedRecord.Seal(Letters, 3, "{}"u8);

    [Fact]
    public void The_bytes_are_frozen_and_read_as_they_were_written()
    {
        Assert.Equal(Frozen, Convert.ToHexString(Whole));
        Assert.Equal("{}"u8.ToArray(), SealedRecord.Open(Letters, 3, Whole).ToArray());
    }

    [Fact]
    public void A_file_that_ends_anywhere_is_refused()
    {
        for (int length = 0; length < Whole.Length; length++)
        {
            Assert.Equal(length == 0 ? SavedStateError.NotRecognised : SavedStateError.Truncated, Refused(Whole[..length]));
        }

        Assert.Equal(SavedStateError.Damaged, Refused([.. Whole, 0]));
    }

    [Fact]
    public void A_changed_bit_anywhere_is_refused()
    {
        for (int bit = 0; bit < Whole.Length * 8; bit++)
        {
            byte[] changed = Whole;
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            SavedStateError expected = (bit / 8) switch
            {
                < 8 => SavedStateError.NotRecognised,
                < 12 => SavedStateError.WrongVersion,
                _ => SavedStateError.Damaged,
            };

            // A longer length may lead past the file's end.
            SavedStateError found = Refused(changed);
            Assert.True(found == expected || (bit / 8 is >= 12 and < 16 && found == SavedStateError.Truncated), $"bit {bit}: {found}");
        }
    }

    private static SavedStateError Refused(byte[] file) =>
        Assert.Throws<SavedStateException>(() => { SealedRecord.Open(Letters, 3, file); }).Error;
}
